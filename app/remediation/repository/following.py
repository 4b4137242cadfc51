"""What remediation made of incidents, in few statements whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, literal, select, text

from app.db.tenancy import TenantSession
from app.remediation.models import RunRow, RunStepRow

_STEPS_OF_A_RUN = 50

# The newest steps of each run by themselves: a loop of many iterations must not push the other runs' steps out.
_STEPS = text(
    "select s.id from unnest(cast(:runs as uuid[])) as r(id) cross join lateral ("
    " select id from run_steps where tenant_id = :tenant_id and run_id = r.id order by id desc limit :limit) s"
)


async def runs_of(session: TenantSession, *, incident_ids: Sequence[UUID], limit: int) -> Sequence[RunRow]:
    """This will return the runs of the incidents, oldest first."""
    query = (
        select(RunRow)
        .where(
            RunRow.tenant_id == session.tenant_id,
            RunRow.incident_id == any_(literal(list(incident_ids), ARRAY(Uuid))),
        )
        .order_by(RunRow.id)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def steps_of_runs(session: TenantSession, *, run_ids: Sequence[UUID]) -> dict[UUID, list[RunStepRow]]:
    """This will return the journals of the runs, the newest fifty steps of each, oldest first."""
    newest = _STEPS.bindparams(runs=list(run_ids), tenant_id=session.tenant_id, limit=_STEPS_OF_A_RUN)
    ids = list((await session.execute(newest)).scalars()) if run_ids else []
    query = select(RunStepRow).where(
        RunStepRow.tenant_id == session.tenant_id, RunStepRow.id == any_(literal(ids, ARRAY(Uuid)))
    )
    found: dict[UUID, list[RunStepRow]] = defaultdict(list)
    for row in (await session.scalars(query.order_by(RunStepRow.id))).all():
        found[row.run_id].append(row)
    return found
