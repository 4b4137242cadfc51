"""The tables of remediation: the inventory, runbooks, rules, runs and their journal, leases and the ledger of acts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantScoped
from app.remediation.rules.states import Mode, Outcome, RunState, StepState

_EMPTY = text("''")
_NOW = text("now()")
_OBJECT = text("'{}'::jsonb")


def _one_of(column: str, values: list[str]) -> str:
    return f"{column} in ({', '.join(repr(value) for value in values)})"


class TargetRow(TenantScoped, Base):
    """Something that runbooks may look at or change. ``secret`` is encrypted and leaves only for a call."""

    __tablename__ = "targets"

    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    environment: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    owner: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    labels: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    connection: Mapped[dict[str, Any]] = mapped_column(JSONB)
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class RunbookRow(TenantScoped, Base):
    """One version of a tenant's own runbook; never changed. Shipped runbooks are code and have no row."""

    __tablename__ = "runbooks"

    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    digest: Mapped[str] = mapped_column(Text)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    source: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)


class RunbookRuleRow(TenantScoped, Base):
    """Which incidents start which runbook, on what, and how far it may go."""

    __tablename__ = "runbook_rules"

    name: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    match: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_OBJECT)
    runbook: Mapped[str] = mapped_column(Text)
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_OBJECT)
    targets: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    mode: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint(_one_of("mode", [mode.value for mode in Mode]), name="mode"),
    )


class RunRow(TenantScoped, Base):
    """One run: a frozen plan and where it is. ``cursor`` names the step that comes next.

    ``trigger_key`` makes "one run of this runbook for this incident" a constraint for runs started by rule.
    """

    __tablename__ = "runs"

    incident_id: Mapped[UUID | None]
    rule_id: Mapped[UUID | None]
    trigger_key: Mapped[str | None] = mapped_column(Text)
    runbook: Mapped[str] = mapped_column(Text)
    runbook_version: Mapped[int]
    mode: Mapped[str] = mapped_column(Text)
    plan: Mapped[dict[str, Any]] = mapped_column(JSONB)
    plan_digest: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    cursor: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    outcome: Mapped[str | None] = mapped_column(Text)
    reason_code: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    reason: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    escalated: Mapped[bool] = mapped_column(server_default=text("false"))
    acted: Mapped[bool] = mapped_column(server_default=text("false"))
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    started_by: Mapped[dict[str, str]] = mapped_column(JSONB)
    trace_id: Mapped[str | None] = mapped_column(Text)
    deadline: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "trigger_key"),
        CheckConstraint(_one_of("mode", [mode.value for mode in Mode]), name="mode"),
        CheckConstraint(_one_of("state", [state.value for state in RunState]), name="state"),
        CheckConstraint(_one_of("outcome", [outcome.value for outcome in Outcome]), name="outcome"),
        CheckConstraint("(state = 'ended') = (outcome is not null)", name="ended_has_outcome"),
        Index("ix_runs_incident", "tenant_id", "incident_id", "id"),
        Index("ix_runs_runbook", "tenant_id", "runbook", "id"),
    )


class RunStepRow(TenantScoped, Base):
    """The journal: one row a step and iteration, with what went in, what came out, and when."""

    __tablename__ = "run_steps"

    run_id: Mapped[UUID]
    key: Mapped[str] = mapped_column(Text)
    iteration: Mapped[int] = mapped_column(server_default=text("0"))
    kind: Mapped[str] = mapped_column(Text)
    action: Mapped[str | None] = mapped_column(Text)
    target_id: Mapped[UUID | None]
    risk: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    effect_key: Mapped[str | None] = mapped_column(Text)
    input: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_OBJECT)
    output: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=_OBJECT)
    intent_at: Mapped[datetime | None]
    intent_epoch: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text, server_default=_EMPTY)
    error: Mapped[str | None] = mapped_column(Text)
    approval: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    due_at: Mapped[datetime | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "run_id", "key", "iteration"),
        UniqueConstraint("tenant_id", "effect_key"),
        ForeignKeyConstraint(
            ["tenant_id", "run_id"], ["runs.tenant_id", "runs.id"], name="fk_run_steps_run", ondelete="CASCADE"
        ),
        CheckConstraint(_one_of("state", [state.value for state in StepState]), name="state"),
    )


class RunTargetRow(Base):
    """Which targets a run works on; what asks a target for its past runs."""

    __tablename__ = "run_targets"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    target_id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "run_id"], ["runs.tenant_id", "runs.id"], name="fk_run_targets_run", ondelete="CASCADE"
        ),
        Index("ix_run_targets_run", "tenant_id", "run_id"),
    )


class TargetLeaseRow(TenantScoped, Base):
    """Which run holds a target; ``id`` is the target's. A row with an epoch, so that it survives every process."""

    __tablename__ = "target_leases"

    run_id: Mapped[UUID | None]
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    taken_at: Mapped[datetime]
    until: Mapped[datetime]


class ActRow(TenantScoped, Base):
    """The ledger that budgets are counted in, written in the transaction that writes the intent."""

    __tablename__ = "acts"

    target_id: Mapped[UUID]
    run_id: Mapped[UUID]
    step_key: Mapped[str] = mapped_column(Text)
    iteration: Mapped[int] = mapped_column(server_default=text("0"))
    action: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("tenant_id", "run_id", "step_key", "iteration"),
        Index("ix_acts_target", "tenant_id", "target_id", "at"),
        Index("ix_acts_recent", "tenant_id", "at"),
    )


__all__ = [
    "ActRow",
    "RunRow",
    "RunStepRow",
    "RunTargetRow",
    "RunbookRow",
    "RunbookRuleRow",
    "TargetLeaseRow",
    "TargetRow",
]
