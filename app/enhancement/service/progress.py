"""What the pipeline reads and writes: one short transaction for each step, so that a crash resumes at the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog

from app.core.actor import Actor
from app.core.events import emit
from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.enhancement.events import EnhancementFailed, EnhancementPublished
from app.enhancement.models import DeskRow, EnhancementRow, TicketRow
from app.enhancement.repository import records
from app.enhancement.rules.draft import Draft
from app.enhancement.rules.evidence import Evidence
from app.enhancement.schemas import EnhancementState
from app.incidents.service import IncidentNotFound, record_timeline
from app.settings.enhancement import LlmSettings

log = structlog.get_logger(__name__)

ACTOR = Actor.system("enhancement")


@dataclass(frozen=True)
class Work:
    """An enhancement with its ticket and the desk that it belongs to, as loaded at the start of a run."""

    enhancement: EnhancementRow
    ticket: TicketRow
    desk: DeskRow | None


@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """What a model took for one enhancement. ``model`` is empty where none was asked."""

    outcome: str
    model: str = ""
    prompt_version: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)

    def cost_usd(self, settings: LlmSettings) -> Decimal:
        """This will price the tokens."""
        price_in, price_out = settings.input_price_per_million, settings.output_price_per_million
        return Decimal(str(round((self.tokens_in * price_in + self.tokens_out * price_out) / 1_000_000, 6)))


async def load_work(session: TenantSession, *, enhancement_id: UUID) -> Work | None:
    """This will load what a run needs, or None where the enhancement is gone."""
    pair = await records.find_enhancement_with_ticket(session, enhancement_id)
    if pair is None:
        return None
    enhancement, ticket = pair
    desk = await records.find_desk(session, ticket.desk_id) if ticket.desk_id is not None else None
    if desk is None or not desk.enabled:
        # A desk that was added after the webhook serves the retry.
        desk = await records.find_desk_for(session, kind=ticket.system, source_id=None)
    return Work(enhancement, ticket, desk)


async def model_refusal(session: TenantSession, *, settings: LlmSettings, desk: DeskRow, now: datetime) -> str | None:
    """This will say why no model may be asked for this tenant now, or None where one may.

    Counted from rows, so it holds over all workers and survives their restart. An enhancement in flight is not
    counted yet: the cap can be passed by what runs at the same time, which the worker's concurrency bounds.
    """
    if settings.base_url is None:
        return "not_configured"
    if not desk.allows_model:
        return "tenant_opted_out"
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if settings.daily_cost_cap and await records.spent_usd(session, since=midnight) >= Decimal(
        str(settings.daily_cost_cap)
    ):
        return "cost_cap"
    window = now - timedelta(seconds=settings.breaker_window_s)
    latest = await records.recent_model_outcomes(session, since=window, limit=settings.breaker_failures)
    failed = len(latest) == settings.breaker_failures and all(outcome in BREAKING for outcome in latest)
    return "breaker_open" if failed else None


# Outcomes that speak against the endpoint; an ungrounded answer speaks against the model, not against asking it.
BREAKING = frozenset({"timeout", "unreachable", "http_error", "bad_response", "egress_refused"})


async def record_fetched(session: TenantSession, *, enhancement_id: UUID, now: datetime) -> None:
    """This will note that the ticket was read."""
    row = await records.find_enhancement(session, enhancement_id, lock=True)
    if row is not None:
        row.state = EnhancementState.FETCHED.value
        row.updated_at = now


async def record_composed(
    session: TenantSession,
    *,
    enhancement_id: UUID,
    draft: Draft,
    note: str,
    evidence: Sequence[Evidence],
    not_consulted: Mapping[str, str],
    use: ModelUse,
    settings: LlmSettings,
    now: datetime,
) -> None:
    """This will store the finished note with its evidence; from here on a crash costs no second model call."""
    row = await records.find_enhancement(session, enhancement_id, lock=True)
    if row is None:
        return
    row.state = EnhancementState.COMPOSED.value
    row.method, row.confidence, row.note = draft.method.value, draft.confidence.value, note
    row.model, row.model_outcome, row.prompt_version = use.model, use.outcome, use.prompt_version
    row.tokens_in, row.tokens_out = use.tokens_in, use.tokens_out
    row.cost_usd = row.cost_usd + use.cost_usd(settings)
    row.verdicts, row.not_consulted = dict(use.verdicts), dict(not_consulted)
    row.composed_at = row.updated_at = now
    await session.flush()
    await records.replace_evidence(session, enhancement_id, [_evidence_row(item) for item in evidence])


def _evidence_row(item: Evidence) -> dict[str, object]:
    return {
        "label": item.id,
        "source": item.source.value,
        "ref": item.ref,
        "title": item.title,
        "body": item.text,
        "url": item.url,
        "trust": item.trust.value,
        "why": list(item.why),
        "score": item.score,
        "suspicious": item.suspicious,
        "occurred_at": item.date,
    }


async def record_published(
    session: TenantSession, *, enhancement_id: UUID, ticket: str, remote_note_id: str, now: datetime
) -> None:
    """This will note that the note stands at the desk, on the incident's timeline too."""
    row = await records.find_enhancement(session, enhancement_id, lock=True)
    if row is None or row.state == EnhancementState.PUBLISHED:
        return
    row.state = EnhancementState.PUBLISHED.value
    row.reason_code = row.reason = ""
    row.remote_note_id = remote_note_id or row.remote_note_id
    row.finished_at = row.updated_at = now
    await session.flush()
    summary = f"Context was written to ticket {ticket}"
    why = f"a ticket came in; {row.method} note, confidence {row.confidence}"
    await _tell(session, row, kind="enhancement.published", summary=summary, reason=why, now=now)
    fact = EnhancementPublished(
        tenant_id=session.tenant_id, enhancement_id=enhancement_id, incident_id=row.incident_id, ticket=ticket, at=now
    )
    await emit(session, fact)


async def record_failed(
    session: TenantSession, *, enhancement_id: UUID, ticket: str, reason_code: str, reason: str, now: datetime
) -> None:
    """This will end the enhancement with a typed reason."""
    row = await records.find_enhancement(session, enhancement_id, lock=True)
    if row is None or row.state == EnhancementState.PUBLISHED:
        return
    row.state, row.reason_code, row.reason = EnhancementState.FAILED.value, reason_code, reason[:1000]
    row.finished_at = row.updated_at = now
    await session.flush()
    summary = f"No context was written to ticket {ticket}"
    await _tell(session, row, kind="enhancement.failed", summary=summary, reason=f"{reason_code}: {reason}", now=now)
    await emit(
        session,
        EnhancementFailed(
            tenant_id=session.tenant_id,
            enhancement_id=enhancement_id,
            incident_id=row.incident_id,
            ticket=ticket,
            reason_code=reason_code,
            at=now,
        ),
    )


async def _tell(
    session: TenantSession, row: EnhancementRow, *, kind: str, summary: str, reason: str, now: datetime
) -> None:
    """Say it on the incident's timeline; a ticket may outlive its incident here."""
    data = {"enhancement_id": str(row.id), "method": row.method, "note_id": row.remote_note_id}
    incident_id = IncidentId(row.incident_id) if row.incident_id is not None else None
    if incident_id is None:
        return
    try:
        await record_timeline(
            session, incident_id=incident_id, actor=ACTOR, kind=kind, summary=summary, reason=reason, data=data, now=now
        )
    except IncidentNotFound:
        log.info("enhancement.incident_gone", incident_id=str(incident_id))
