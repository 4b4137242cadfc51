"""Saying what happened: timeline entries, audit rows, metrics and events, all in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from app.audit.service import Deed, record_many
from app.core.actor import Actor
from app.core.events import emit
from app.core.ids import IncidentId, new_id
from app.db.tenancy import TenantSession
from app.incidents.events import IncidentOpened, IncidentResolved, IncidentUpdated, TicketReceived
from app.incidents.repository import writing
from app.incidents.rules.signals import clean_value
from app.incidents.rules.states import IncidentState
from app.incidents.rules.world import Incident, Note, TicketFact, World
from app.incidents.schemas import SourceFacts, TicketRef
from app.observability.metrics import counter

log = structlog.get_logger(__name__)

INCIDENTS_OPENED = counter("tocsin_incidents_opened_total", "Incidents opened, by severity.", ("severity",))
INCIDENTS_RESOLVED = counter(
    "tocsin_incidents_resolved_total", "Incidents resolved, by kind of actor.", ("actor_kind",)
)

# A storm names its first alerts; the rest are a number. The alerts themselves are all in their table.
_NAMED_ALERTS = 20
# What a sender can say about an incident that it opens in the same breath, and that the opening does not tell.
_SAID = frozenset({"acknowledged", "note"})


async def write_notes(session: TenantSession, notes: Iterable[Note], *, actor: Actor, now: datetime) -> None:
    """This will append the notes to their incidents' timelines."""
    await writing.insert_timeline(session, [entry_of(note, actor, now) for note in notes])


async def announce(
    session: TenantSession, world: World, *, actor: Actor, source: SourceFacts | None, now: datetime
) -> None:
    """This will audit and emit what became of each incident, and each new ticket."""
    changed = [incident for incident in world.incidents.values() if incident.is_changed]
    said: dict[UUID, list[Note]] = {}
    for note in world.notes:
        if note.origin is not None:
            said.setdefault(note.incident_id, []).append(note)
    deeds = [deed for incident in changed for deed in _deeds(incident, said.get(incident.id, ()), actor, source)]
    await record_many(session, deeds, now=now)
    for incident in changed:
        await _emit_changes(session, incident, actor=actor, source=source, now=now)
    if source is not None:
        for ticket in world.tickets:
            await emit(session, _ticket_received(session, ticket, source, now))


async def announce_resolved(
    session: TenantSession, *, incident_id: UUID, actor: Actor, reason: str, now: datetime
) -> None:
    """This will audit and emit that an incident is over."""
    await record_many(session, [_resolved_deed(incident_id, actor, reason)], now=now)
    await _emit_resolved(session, incident_id, actor, now)


async def _emit_resolved(session: TenantSession, incident_id: UUID, actor: Actor, now: datetime) -> None:
    by = f"{actor.kind}:{actor.id}"
    INCIDENTS_RESOLVED.labels(actor_kind=actor.kind.value).inc()
    log.info("incident.resolved", incident_id=str(incident_id), by=by)
    event = IncidentResolved(incident_id=IncidentId(incident_id), tenant_id=session.tenant_id, by=by, at=now)
    await emit(session, event)


async def announce_updated(session: TenantSession, *, incident_id: UUID, what: str, now: datetime) -> None:
    """This will emit that something about an incident changed."""
    event = IncidentUpdated(incident_id=IncidentId(incident_id), tenant_id=session.tenant_id, what=what, at=now)
    await emit(session, event)


async def _emit_changes(
    session: TenantSession, incident: Incident, *, actor: Actor, source: SourceFacts | None, now: datetime
) -> None:
    if incident.is_new and source is not None:
        INCIDENTS_OPENED.labels(severity=incident.severity.value).inc()
        log.info("incident.opened", incident_id=str(incident.id), severity=incident.severity.value)
        await emit(session, _opened(session, incident, source, now))
    for what in dict.fromkeys(incident.happened):
        if what != "resolved" and (what in _SAID or not incident.is_new):
            await announce_updated(session, incident_id=incident.id, what=what, now=now)
    if _was_resolved(incident):
        await _emit_resolved(session, incident.id, actor, now)


def _was_resolved(incident: Incident) -> bool:
    return "resolved" in incident.happened and incident.state is IncidentState.RESOLVED


def _deeds(incident: Incident, said: Iterable[Note], actor: Actor, source: SourceFacts | None) -> list[Deed]:
    deeds = []
    if incident.is_new and source is not None:
        detail = {"title": incident.title, "severity": incident.severity.value, "source": source.name}
        deeds.append(Deed(actor=actor, action="incident.opened", subject=_subject(incident.id), detail=detail))
    deeds += [Deed(actor=actor, action=note.kind, subject=_subject(incident.id), detail=_said(note)) for note in said]
    if _was_resolved(incident):
        deeds.append(_resolved_deed(incident.id, actor, f"by {incident.resolved_by}"))
    return deeds


def _said(note: Note) -> dict[str, Any]:
    return {"summary": clean_value(note.summary), "reason": clean_value(note.reason)}


def _resolved_deed(incident_id: UUID, actor: Actor, reason: str) -> Deed:
    subject = _subject(incident_id)
    return Deed(actor=actor, action="incident.resolved", subject=subject, detail={"reason": reason})


def _opened(session: TenantSession, incident: Incident, source: SourceFacts, now: datetime) -> IncidentOpened:
    return IncidentOpened(
        incident_id=IncidentId(incident.id),
        tenant_id=session.tenant_id,
        title=incident.title,
        severity=incident.severity,
        source_id=source.id,
        source_kind=source.kind,
        labels=dict(incident.labels),
        alert_name=incident.alert_name,
        ticket=TicketRef(**incident.ticket) if incident.ticket else None,
        at=now,
    )


def _ticket_received(session: TenantSession, fact: TicketFact, source: SourceFacts, now: datetime) -> TicketReceived:
    return TicketReceived(
        tenant_id=session.tenant_id,
        incident_id=IncidentId(fact.incident_id),
        source_id=source.id,
        ticket=TicketRef(**fact.ticket),
        title=fact.title,
        description=fact.description,
        labels=dict(fact.labels),
        at=now,
    )


def entry_of(note: Note, actor: Actor, now: datetime) -> dict[str, Any]:
    """This will return the columns of a note's line."""
    data: dict[str, Any] = dict(note.data)
    summary = note.summary
    if note.alerts:
        data["alerts"] = [{"id": str(alert_id), "title": title} for alert_id, title in note.alerts[:_NAMED_ALERTS]]
    if len(note.alerts) > 1:
        data["alert_count"] = len(note.alerts)
        summary = f"{note.summary}, and {len(note.alerts) - 1} more"
    return timeline_row(
        incident_id=note.incident_id,
        actor=actor,
        kind=note.kind,
        summary=summary,
        reason=note.reason,
        data=data,
        now=now,
        origin=note.origin,
    )


def timeline_row(
    *,
    incident_id: UUID,
    actor: Actor,
    kind: str,
    summary: str,
    reason: str,
    data: dict[str, Any],
    now: datetime,
    origin: str | None = None,
) -> dict[str, Any]:
    """This will return one entry's columns."""
    return {
        "id": new_id(),
        "incident_id": incident_id,
        "at": now,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "kind": kind,
        "summary": summary,
        "reason": reason,
        "data": clean_value(data),
        "origin": origin,
    }


def _subject(incident_id: UUID) -> str:
    return f"incident:{incident_id}"
