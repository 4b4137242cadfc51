"""What internal actions decide, carried out in the transaction that writes their outcome."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from app.db.tenancy import TenantSession
from app.remediation.contract import Directive, Escalation, Note, Pause, Resolution
from app.remediation.models import RunRow
from app.remediation.rules.states import Outcome
from app.remediation.service.ending import end_run, resolve_after_recovery
from app.remediation.service.telling import tell


async def carry_out(session: TenantSession, run: RunRow, directive: Directive, *, now: datetime) -> None:
    """This will write the note, hand over, or resolve."""
    match directive:
        case Note(text):
            summary = f"Runbook {run.runbook} notes"
            await tell(session, run, kind="run.note", summary=summary, reason=text, now=now, data={"text": text})
        case Escalation(policy, reason):
            outcome = Outcome.NOT_RECOVERED
            await end_run(session, run, outcome=outcome, reason=reason, code="handed_over", policy=policy, now=now)
        case Resolution(reason):
            await resolve_after_recovery(session, run, reason=reason, now=now)
        case Pause():
            # A pause is the wait step's own: a row with its due time.
            return
        case _:
            assert_never(directive)
