"""Saying what happened: timeline entries, audit rows, metrics and events, all in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.events import emit
from app.core.ids import IncidentId, SourceId, new_id
from app.db.tenancy import TenantSession
from app.incidents.events import IncidentOpened, IncidentResolved, IncidentUpdated, TicketReceived
from app.incidents.repository import writing
from app.incidents.rules.signals import clean_value
from app.incidents.rules.states import IncidentState
from app.incidents.rules.world import Incident, Note, World
from app.incidents.schemas import SourceFacts, TicketRef
from app.observability.metrics import counter

INCIDENTS_OPENED = counter("tocsin_incidents_opened_total", "Incidents opened, by severity.", ("severity",))
INCIDENTS_RESOLVED = counter(
    "tocsin_incidents_resolved_total", "Incidents resolved, by kind of actor.", ("actor_kind",)
)

# A storm names its first alerts; the rest are a number. The alerts themselves are all in their table.
_NAMED_ALERTS = 20


async def write_notes(session: TenantSession, notes: Iterable[Note], *, actor: Actor, now: datetime) -> None:
    """This will append the notes to their incidents' timelines."""
    await writing.insert_timeline(session, [_entry(note, actor, now) for note in notes])


async def announce(
    session: TenantSession, world: World, *, actor: Actor, source: SourceFacts | None, now: datetime
) -> None:
    """This will audit and emit what became of each incident, and each new ticket."""
    for incident in world.incidents.values():
        if incident.is_changed:
            await _announce_incident(session, incident, actor=actor, source=source, now=now)
    if source is not None:
        for ticket in world.tickets:
            await emit(
                session,
                TicketReceived(
                    tenant_id=session.tenant_id,
                    incident_id=IncidentId(ticket.incident_id),
                    source_id=source.id,
                    ticket=TicketRef(**ticket.ticket),
                    title=ticket.title,
                    description=ticket.description,
                    labels=dict(ticket.labels),
                    at=now,
                ),
            )


async def announce_resolved(
    session: TenantSession, *, incident_id: UUID, actor: Actor, reason: str, now: datetime
) -> None:
    """This will audit and emit that an incident is over."""
    by = f"{actor.kind}:{actor.id}"
    detail = {"reason": reason}
    await record(
        session, actor=actor, action="incident.resolved", subject=_subject(incident_id), detail=detail, now=now
    )
    INCIDENTS_RESOLVED.labels(actor_kind=actor.kind.value).inc()
    event = IncidentResolved(incident_id=IncidentId(incident_id), tenant_id=session.tenant_id, by=by, at=now)
    await emit(session, event)


async def announce_updated(session: TenantSession, *, incident_id: UUID, what: str, now: datetime) -> None:
    """This will emit that something about an incident changed."""
    event = IncidentUpdated(incident_id=IncidentId(incident_id), tenant_id=session.tenant_id, what=what, at=now)
    await emit(session, event)


async def _announce_incident(
    session: TenantSession, incident: Incident, *, actor: Actor, source: SourceFacts | None, now: datetime
) -> None:
    if incident.is_new and source is not None:
        await _announce_opened(session, incident, actor=actor, source=source, now=now)
    else:
        for what in dict.fromkeys(incident.happened):
            if what != "resolved":
                await announce_updated(session, incident_id=incident.id, what=what, now=now)
    if "resolved" in incident.happened and incident.state is IncidentState.RESOLVED:
        reason = f"by {incident.resolved_by}"
        await announce_resolved(session, incident_id=incident.id, actor=actor, reason=reason, now=now)


async def _announce_opened(
    session: TenantSession, incident: Incident, *, actor: Actor, source: SourceFacts, now: datetime
) -> None:
    detail = {"title": incident.title, "severity": incident.severity.value, "source": source.name}
    subject = _subject(incident.id)
    await record(session, actor=actor, action="incident.opened", subject=subject, detail=detail, now=now)
    INCIDENTS_OPENED.labels(severity=incident.severity.value).inc()
    event = IncidentOpened(
        incident_id=IncidentId(incident.id),
        tenant_id=session.tenant_id,
        title=incident.title,
        severity=incident.severity,
        source_id=SourceId(source.id),
        source_kind=source.kind,
        labels=dict(incident.labels),
        alert_name=incident.alert_name,
        ticket=TicketRef(**incident.ticket) if incident.ticket else None,
        at=now,
    )
    await emit(session, event)


def _entry(note: Note, actor: Actor, now: datetime) -> dict[str, Any]:
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
    }


def _subject(incident_id: UUID) -> str:
    return f"incident:{incident_id}"
