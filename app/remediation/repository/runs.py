"""Runs and their steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.remediation.models import RunRow, RunStepRow, RunTargetRow
from app.remediation.rules.states import RunState, StepState


async def find_run(session: TenantSession, run_id: UUID) -> RunRow | None:
    return await session.get(RunRow, (session.tenant_id, run_id))


async def lock_run(session: TenantSession, run_id: UUID) -> RunRow | None:
    """This will return the run and keep it from changing until the transaction ends."""
    return await session.get(RunRow, (session.tenant_id, run_id), with_for_update=True, populate_existing=True)


async def find_by_trigger(session: TenantSession, trigger_key: str) -> RunRow | None:
    statement = select(RunRow).where(RunRow.tenant_id == session.tenant_id, RunRow.trigger_key == trigger_key)
    return (await session.execute(statement)).scalar_one_or_none()


async def page_of_runs(
    session: TenantSession,
    *,
    incident_id: UUID | None,
    runbook: str | None,
    state: RunState | None,
    before: UUID | None,
    limit: int,
) -> Sequence[RunRow]:
    """This will return runs, newest first."""
    statement = select(RunRow).where(RunRow.tenant_id == session.tenant_id)
    if incident_id is not None:
        statement = statement.where(RunRow.incident_id == incident_id)
    if runbook is not None:
        statement = statement.where(RunRow.runbook == runbook)
    if state is not None:
        statement = statement.where(RunRow.state == state.value)
    return (await session.scalars(newest_first(statement, RunRow.id, before=before, limit=limit))).all()


async def add_targets(session: TenantSession, *, run_id: UUID, target_ids: Iterable[UUID]) -> None:
    rows = [{"tenant_id": session.tenant_id, "run_id": run_id, "target_id": target_id} for target_id in set(target_ids)]
    if rows:
        await session.execute(insert(RunTargetRow).on_conflict_do_nothing(), rows)


async def steps_of(session: TenantSession, run_id: UUID) -> Sequence[RunStepRow]:
    """This will return the run's journal in the order in which it was written."""
    statement = select(RunStepRow).where(RunStepRow.tenant_id == session.tenant_id, RunStepRow.run_id == run_id)
    return (await session.execute(statement.order_by(RunStepRow.id))).scalars().all()


async def find_step(session: TenantSession, *, run_id: UUID, key: str, iteration: int = 0) -> RunStepRow | None:
    statement = select(RunStepRow).where(
        RunStepRow.tenant_id == session.tenant_id,
        RunStepRow.run_id == run_id,
        RunStepRow.key == key,
        RunStepRow.iteration == iteration,
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def has_open_intent(session: TenantSession, run_id: UUID) -> bool:
    """This will say whether an effect of the run may be under way right now."""
    statement = select(RunStepRow.id).where(
        RunStepRow.tenant_id == session.tenant_id,
        RunStepRow.run_id == run_id,
        RunStepRow.state == StepState.INTENT.value,
    )
    return (await session.execute(statement.limit(1))).first() is not None


async def outputs_of(session: TenantSession, run_id: UUID) -> dict[str, dict[str, Any]]:
    """This will return what each finished check and act left behind, by the step's full key."""
    statement = select(RunStepRow.key, RunStepRow.output).where(
        RunStepRow.tenant_id == session.tenant_id,
        RunStepRow.run_id == run_id,
        RunStepRow.state == StepState.DONE.value,
        RunStepRow.kind.in_(("check", "act")),
    )
    return {key: output or {} for key, output in (await session.execute(statement)).all()}


async def add_step(session: TenantSession, **values: Any) -> RunStepRow:
    row = RunStepRow(tenant_id=session.tenant_id, id=new_id(), **values)
    session.add(row)
    await session.flush()
    return row
