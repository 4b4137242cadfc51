"""What enhancement tells about incidents: the notes at the desk, on their way there or failed, and the jobs behind them."""

from __future__ import annotations

from collections.abc import Sequence

from app.db.jobs.reading import FoundJob, find_jobs
from app.db.tenancy import TenantSession
from app.enhancement.models import EnhancementRow, TicketRow
from app.enhancement.repository import following
from app.enhancement.schemas import EnhancementState
from app.incidents.contract import MAX_CONSEQUENCES, Consequence, ConsequenceStep, tells
from app.incidents.schemas import IncidentView

# Written out: the job classes live above the services. A test holds them against the classes.
ENHANCE_TICKET, INDEX_INCIDENT = "enhancement.enhance_ticket", "enhancement.index_incident"

_MOST = 50
_ENDED = frozenset({EnhancementState.PUBLISHED.value, EnhancementState.FAILED.value})


@tells("enhancement")
async def tell_enhancements(session: TenantSession, incidents: Sequence[IncidentView]) -> list[Consequence]:
    """This will say what became of the incidents' tickets, and which jobs still work for them."""
    ids = [incident.id for incident in incidents]
    pairs = await following.enhancements_of(session, incident_ids=ids, limit=_MOST)
    wanted = [(ENHANCE_TICKET, str(row.id)) for row, _ in pairs if row.state not in _ENDED]
    wanted += [(INDEX_INCIDENT, str(incident_id)) for incident_id in ids]
    jobs = {(job.kind, job.unique_key): job for job in await find_jobs(session, wanted=wanted, since=min(ids))}
    told = [_enhancement(row, ticket, jobs.get((ENHANCE_TICKET, str(row.id)))) for row, ticket in pairs]
    for incident_id in ids:
        job = jobs.get((INDEX_INCIDENT, str(incident_id)))
        if job is not None:
            told.append(Consequence.of_job(job, incident_id=incident_id, title="made findable among past cases"))
    return told[:MAX_CONSEQUENCES]


def _enhancement(row: EnhancementRow, ticket: TicketRow, job: FoundJob | None) -> Consequence:
    stuck = row.state not in _ENDED and job is not None and job.is_broken
    reason = f"its job is {job.state}: {job.error}" if stuck and job is not None else row.reason
    return Consequence(
        incident_id=row.incident_id or row.id,
        kind="enhancement",
        id=row.id,
        title=f"note on ticket {ticket.external_id} at {ticket.system}",
        state=row.state,
        settled=row.state in _ENDED or stuck,
        failed=stuck or row.state == EnhancementState.FAILED.value,
        reason_code=row.reason_code,
        reason=reason or (f"{row.method} note, confidence {row.confidence}" if row.method else ""),
        at=row.created_at,
        ended_at=row.finished_at,
        trace_id=job.trace_id if job is not None else None,
        steps=_steps(row),
    )


def _steps(row: EnhancementRow) -> list[ConsequenceStep]:
    steps = []
    if row.composed_at is not None:
        reason = f"model {row.model}: {row.model_outcome}" if row.model else row.model_outcome
        steps.append(ConsequenceStep(key="composed", kind="note", state="done", reason=reason, at=row.composed_at))
    if row.state == EnhancementState.PUBLISHED.value:
        reason = f"note {row.remote_note_id}" if row.remote_note_id else ""
        steps.append(ConsequenceStep(key="published", kind="desk", state="done", reason=reason, at=row.finished_at))
    return steps
