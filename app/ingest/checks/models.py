"""The table of checks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.ingest.models import Watch


class CheckRow(Watch, Base):
    """An address that is asked again and again.

    Attributes:
        expected_status: None takes every 2xx.
        expected_text: What a healthy body holds; empty is anything.
        fails_after: Wrong answers in a row that make it down.
        failures: Wrong answers in a row until now.
        error: What was wrong with the last answer; empty while it is right.
        version: Counts the changes: an answer to a question that was changed meanwhile says nothing.
        alerted_at: When the alert that is open for it was raised.
    """

    __tablename__ = "checks"

    url: Mapped[str] = mapped_column(Text)
    interval_s: Mapped[int]
    timeout_s: Mapped[int]
    expected_status: Mapped[int | None] = mapped_column(SmallInteger)
    expected_text: Mapped[str] = mapped_column(Text, server_default=text("''"))
    fails_after: Mapped[int] = mapped_column(SmallInteger)
    severity: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=text("'new'"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    error: Mapped[str] = mapped_column(Text, server_default=text("''"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    checked_at: Mapped[datetime | None]
    alerted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        UniqueConstraint("tenant_id", "source_id", "name", name="uq_checks_tenant_id_source_id_name"),
        ForeignKeyConstraint(["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_checks_source"),
        CheckConstraint("state in ('new', 'up', 'down', 'paused')", name="state"),
        CheckConstraint("severity in ('P0', 'P1', 'P2', 'P3')", name="severity"),
        CheckConstraint("interval_s > 0 and timeout_s > 0 and fails_after > 0", name="positive"),
    )
