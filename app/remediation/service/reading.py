"""Looking at runs."""

from __future__ import annotations

from uuid import UUID

from app.core.errors import Conflict, NotFound
from app.db.tenancy import TenantSession
from app.remediation.models import RunRow, RunStepRow
from app.remediation.repository import runs
from app.remediation.rules.states import RunState
from app.remediation.schemas import RunDetail, RunView, StepView


class RunNotFound(NotFound):
    """No such run in this tenant."""

    code = "run.not_found"
    title = "No such run"


class RunEnded(Conflict):
    """It is over."""

    code = "run.ended"
    title = "The run has ended"


async def list_runs(
    session: TenantSession,
    *,
    incident_id: UUID | None = None,
    runbook: str | None = None,
    state: RunState | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[RunView]:
    """This will return runs, newest first."""
    rows = await runs.page_of_runs(
        session, incident_id=incident_id, runbook=runbook, state=state, before=before, limit=limit
    )
    return [RunView.model_validate(row) for row in rows]


async def get_run(session: TenantSession, *, run_id: UUID) -> RunDetail:
    """This will return a run with its frozen plan and its whole journal.

    Raises:
        RunNotFound: No such run.
    """
    row = await runs.find_run(session, run_id)
    if row is None:
        raise RunNotFound(f"There is no run {run_id}.")
    steps = [_step(step) for step in await runs.steps_of(session, run_id)]
    return RunDetail(**RunView.model_validate(row).model_dump(), plan=row.plan, steps=steps)


async def lock_run(session: TenantSession, *, run_id: UUID) -> RunRow:
    """This will return the run's row, held until the transaction ends.

    Raises:
        RunNotFound: No such run.
    """
    row = await runs.lock_run(session, run_id)
    if row is None:
        raise RunNotFound(f"There is no run {run_id}.")
    return row


def _step(row: RunStepRow) -> StepView:
    view = StepView.model_validate(row)
    if row.finished_at is not None:
        view.duration_s = round((row.finished_at - row.started_at).total_seconds(), 3)
    return view
