"""The table of trials."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped


class TrialRow(TenantScoped, Base):
    """What another mapping or grouping would have made of a stretch of the past; the result is bounded."""

    __tablename__ = "source_trials"

    source_id: Mapped[UUID]
    candidate: Mapped[dict[str, Any]] = mapped_column(JSONB)
    since: Mapped[datetime]
    until: Mapped[datetime]
    most: Mapped[int]
    state: Mapped[str] = mapped_column(Text, server_default=text("'queued'"))
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    asked_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state in ('queued', 'done', 'failed')", name="state"),
        ForeignKeyConstraint(
            ["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], name="fk_source_trials_source"
        ),
        Index("ix_source_trials_source", "tenant_id", "source_id", "id"),
    )
