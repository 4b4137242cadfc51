"""The life of an enhancement: opened by a ticket, moved by the pipeline, tried again by a person."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import Conflict, NotFound
from app.db.tenancy import TenantSession
from app.enhancement.models import EnhancementRow, EvidenceRow, TicketRow
from app.enhancement.repository import records
from app.enhancement.rules.evidence import Trust
from app.enhancement.schemas import EnhancementState, EnhancementSummary, EnhancementView, EvidenceView


class EnhancementNotFound(NotFound):
    """No enhancement with that id in this tenant."""

    code = "enhancement.not_found"
    title = "No such enhancement"


class EnhancementStillRunning(Conflict):
    """A job is at work on it, or about to be."""

    code = "enhancement.still_running"
    title = "The enhancement has not ended yet"
    hint = "Wait until it is published or failed."


async def get_enhancement(session: TenantSession, *, enhancement_id: UUID) -> EnhancementView:
    """This will return an enhancement with its note and evidence.

    Raises:
        EnhancementNotFound: No such enhancement.
    """
    pair = await records.find_enhancement_with_ticket(session, enhancement_id)
    if pair is None:
        raise EnhancementNotFound(f"There is no enhancement {enhancement_id}.")
    return _view(*pair, evidence=[_evidence(row) for row in await records.list_evidence(session, enhancement_id)])


async def find_enhancement_for_ticket(
    session: TenantSession, *, external_id: str, system: str = "servicedesk"
) -> EnhancementView | None:
    """This will return the enhancement of a ticket by its number at the desk, or None."""
    ticket = await records.find_ticket_by_number(session, system=system, external_id=external_id)
    if ticket is None:
        return None
    found = await records.find_enhancement_of_ticket(session, ticket.id)
    return None if found is None else await get_enhancement(session, enhancement_id=found.id)


async def list_enhancements(
    session: TenantSession,
    *,
    state: EnhancementState | None,
    reason: str | None,
    ticket: str | None,
    incident_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[EnhancementSummary]:
    """This will return enhancements, newest first."""
    pairs = await records.page_of_enhancements(
        session,
        state=state.value if state is not None else None,
        reason=reason,
        ticket=ticket,
        incident_id=incident_id,
        before=before,
        limit=limit,
    )
    return [_summary(row, found) for row, found in pairs]


async def restart_enhancement(
    session: TenantSession, *, enhancement_id: UUID, actor: Actor, now: datetime
) -> EnhancementView:
    """This will set an enhancement back to the start; the caller enqueues the job in the same transaction.

    Whether it may is decided by that: while a job is open for it, no second one comes to be. So what a dead job left
    behind can be tried again too. The next note replaces this enhancement's note at the desk.

    Raises:
        EnhancementNotFound: No such enhancement.
    """
    row = await records.find_enhancement(session, enhancement_id, lock=True)
    if row is None:
        raise EnhancementNotFound(f"There is no enhancement {enhancement_id}.")
    detail = {"was": row.state, "reason_code": row.reason_code, "generation": row.generation + 1}
    row.state, row.reason_code, row.reason = EnhancementState.QUEUED.value, "", ""
    row.generation += 1
    row.finished_at = None
    row.updated_at = now
    await session.flush()
    subject = f"enhancement:{enhancement_id}"
    await audit(session, actor=actor, action="enhancement.retried", subject=subject, detail=detail, now=now)
    return await get_enhancement(session, enhancement_id=enhancement_id)


def _summary(row: EnhancementRow, ticket: TicketRow) -> EnhancementSummary:
    return EnhancementSummary(**_common(row, ticket))


def _view(row: EnhancementRow, ticket: TicketRow, *, evidence: list[EvidenceView]) -> EnhancementView:
    return EnhancementView(
        **_common(row, ticket),
        generation=row.generation,
        note=row.note,
        remote_note_id=row.remote_note_id,
        model=row.model,
        model_outcome=row.model_outcome,
        prompt_version=row.prompt_version,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        cost_usd=float(row.cost_usd),
        verdicts=row.verdicts,
        not_consulted=row.not_consulted,
        composed_at=row.composed_at,
        evidence=evidence,
    )


def _common(row: EnhancementRow, ticket: TicketRow) -> dict[str, object]:
    return {
        "id": row.id,
        "system": ticket.system,
        "ticket": ticket.external_id,
        "title": ticket.title,
        "incident_id": row.incident_id,
        "state": row.state,
        "reason_code": row.reason_code,
        "reason": row.reason,
        "method": row.method,
        "confidence": row.confidence,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _evidence(row: EvidenceRow) -> EvidenceView:
    return EvidenceView(
        label=row.label,
        source=row.source,
        ref=row.ref,
        title=row.title,
        text=row.body,
        url=row.url,
        trust=Trust(row.trust),
        why=row.why,
        score=row.score,
        suspicious=row.suspicious,
        occurred_at=row.occurred_at,
    )
