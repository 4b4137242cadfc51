"""The tables of the job engine."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.jobs import JobState
from app.db.base import Base, TenantScoped

OPEN_UNIQUE = (
    "unique_key is not null and (state in ('scheduled', 'published') or (not coalesces and state = 'running'))"
)


def _one_of(column: str, values: list[str]) -> str:
    return f"{column} in ({', '.join(repr(value) for value in values)})"


class JobRow(TenantScoped, Base):
    """One piece of work that must happen later or elsewhere; written in the transaction that caused it."""

    __tablename__ = "jobs"

    kind: Mapped[str] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    unique_key: Mapped[str | None] = mapped_column(Text)
    coalesces: Mapped[bool] = mapped_column(server_default=text("false"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("100"))
    state: Mapped[str] = mapped_column(Text, server_default=text("'scheduled'"))
    parked: Mapped[bool] = mapped_column(server_default=text("false"))
    run_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    max_attempts: Mapped[int]
    lease_epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(Text)
    trace_context: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    published_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(_one_of("state", [state.value for state in JobState]), name="state"),
        Index("uq_jobs_open", "tenant_id", "kind", "unique_key", unique=True, postgresql_where=text(OPEN_UNIQUE)),
        Index("ix_jobs_due", "queue", "tenant_id", "run_at", postgresql_where=text("state = 'scheduled'")),
        Index("ix_jobs_published", "queue", "published_at", postgresql_where=text("state = 'published'")),
        Index("ix_jobs_running", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_jobs_list", "tenant_id", "state", "id"),
        Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at is not null")),
    )


class EffectRow(TenantScoped, Base):
    """One effect outside PostgreSQL: its intent before, its outcome after."""

    __tablename__ = "effects"

    effect_key: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    job_id: Mapped[UUID]
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    intent_epoch: Mapped[int] = mapped_column(BigInteger)
    not_after: Mapped[datetime]
    intents: Mapped[int] = mapped_column(server_default=text("1"))
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (
        CheckConstraint("state in ('intent', 'done', 'failed', 'unknown')", name="state"),
        UniqueConstraint("tenant_id", "effect_key", name="uq_effects_tenant_id_effect_key"),
    )


class TenantPauseRow(TenantScoped, Base):
    """A queue that a tenant has paused for itself; ``*`` is every queue."""

    __tablename__ = "tenant_pauses"

    queue: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    paused_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    __table_args__ = (UniqueConstraint("tenant_id", "queue", name="uq_tenant_pauses_tenant_id_queue"),)


class QueuePauseRow(Base):
    """A queue that the platform's operator has paused for everybody; ``*`` is every queue."""

    __tablename__ = "queue_pauses"

    queue: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    paused_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class WorkerRow(Base):
    """A worker process and when it last completed a poll; its liveness."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    running: Mapped[int] = mapped_column(server_default=text("0"))
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_poll_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
