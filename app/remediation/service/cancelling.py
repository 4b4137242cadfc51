"""Stopping a run by hand."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.core.actor import Actor
from app.db.tenancy import TenantSession
from app.remediation.models import RunRow
from app.remediation.rules.states import Outcome, RunState
from app.remediation.service.ending import end_run
from app.remediation.service.reading import RunEnded, lock_run
from app.remediation.service.telling import audit_run


async def cancel_run(session: TenantSession, *, run_id: UUID, reason: str, actor: Actor, now: datetime) -> RunRow:
    """This will stop a run: at once while it waits for a person, else before its next step.

    An effect that is under way is not torn off; its outcome is written first. The caller wakes the driver.

    Raises:
        RunNotFound: No such run.
        RunEnded: It is over.
    """
    run = await lock_run(session, run_id=run_id)
    if run.state == RunState.ENDED.value:
        raise RunEnded(f"The run ended: {run.outcome}.")
    run.cancel_requested, run.updated_at = True, now
    await session.flush()
    await audit_run(session, run, action="run.cancel_requested", detail={"reason": reason}, now=now, actor=actor)
    if run.state == RunState.AWAITING_APPROVAL.value:
        text = reason or "a person cancelled the run"
        await end_run(session, run, outcome=Outcome.CANCELLED, reason=text, code="run.cancelled", now=now, actor=actor)
    return run
