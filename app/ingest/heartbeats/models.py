"""The table of heartbeats."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.ingest.models import Watch


class HeartbeatRow(Watch, Base):
    """Something that must be heard of in time. All its times are the database's: no clock of ours makes it late.

    Attributes:
        deadline_at: By when the next beat must have come; null before the first one and while paused.
        failed_at: When its sender said that it had failed, until the next beat.
        alerted_at: When the alert that is open for it was raised.
    """

    __tablename__ = "heartbeats"

    interval_s: Mapped[int]
    grace_s: Mapped[int]
    severity: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=text("'new'"))
    beats: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_beat_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    alerted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        UniqueConstraint("tenant_id", "source_id", "name", name="uq_heartbeats_tenant_id_source_id_name"),
        ForeignKeyConstraint(
            ["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_heartbeats_source"
        ),
        CheckConstraint("state in ('new', 'up', 'late', 'failed', 'paused')", name="state"),
        CheckConstraint("severity in ('P0', 'P1', 'P2', 'P3')", name="severity"),
        CheckConstraint("interval_s > 0 and grace_s >= 0", name="interval"),
    )
