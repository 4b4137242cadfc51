"""The table of replays."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped


class ReplayRow(TenantScoped, Base):
    """Trying failed deliveries again, one small batch after the other.

    Attributes:
        wanted: Which deliveries: source, states, reason, from when until when.
        most: Deliveries to take at the most.
        cursor: The last delivery that was taken or passed; everything after it is still to come.
        until_id: The first id that is too young, so that a replay never chases what came in after it was asked for.
        batch: What is with the intake now; the next ones are taken when none of it waits.
        processed: Of those taken, the ones that became alerts; ``failed_again`` the others.
    """

    __tablename__ = "replays"

    wanted: Mapped[dict[str, Any]] = mapped_column(JSONB)
    most: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default=text("'running'"))
    cursor: Mapped[UUID]
    until_id: Mapped[UUID]
    batch: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    taken: Mapped[int] = mapped_column(server_default=text("0"))
    processed: Mapped[int] = mapped_column(server_default=text("0"))
    failed_again: Mapped[int] = mapped_column(server_default=text("0"))
    started_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state in ('running', 'done', 'cancelled')", name="state"),
        Index("uq_replays_running", "tenant_id", unique=True, postgresql_where=text("state = 'running'")),
    )
