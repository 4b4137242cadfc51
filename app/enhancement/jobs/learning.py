"""Keeping the searchable past up to date: new incidents go in, and how they ended is added later."""

from __future__ import annotations

from datetime import datetime

import structlog

from app.core.actor import ActorKind
from app.core.ids import IncidentId
from app.core.jobs import registry
from app.db.jobs.context import JobContext
from app.db.tenancy import TenantSession
from app.enhancement.contract import DeskFailure
from app.enhancement.jobs.definitions import IndexIncident, LearnResolution
from app.enhancement.jobs.desk import connect_desk
from app.enhancement.repository import records
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.service.cases import index_case
from app.enhancement.service.tickets import record_ticket
from app.incidents.service import IncidentNotFound, get_incident, list_latest_entries

log = structlog.get_logger(__name__)

_MAX_ENTRIES = 200
_TOLD = ("incident.note", "incident.resolved")
_PEOPLE = frozenset({ActorKind.TOKEN.value, ActorKind.OPERATOR.value, ActorKind.RUNBOOK.value})


@registry.transactional(IndexIncident)
async def index_incident(session: TenantSession, job: IndexIncident, ctx: JobContext) -> None:
    """This will put the incident into the index."""
    del ctx
    await index_case(
        session,
        kind=SourceKind.INCIDENT,
        ref=str(job.incident_id),
        title=job.title,
        body=job.body,
        occurred_at=datetime.fromisoformat(job.opened_at),
    )


@registry.stepwise(LearnResolution)
async def learn_resolution(ctx: JobContext, job: LearnResolution) -> None:
    """This will read the incident's tickets again, now that they hold a solution; without one, people's own notes.

    A desk that is down is tried again later.
    """
    async with ctx.transaction() as session:
        tickets = await records.find_tickets_of_incident(session, job.incident_id)
        desks = {row.id: row for row in await records.page_of_desks(session, before=None, limit=200)}
        if not tickets:
            await _learn_from_timeline(session, IncidentId(job.incident_id))
    for known in tickets:
        desk = desks.get(known.desk_id) if known.desk_id is not None else None
        if desk is None or not desk.enabled:
            continue
        try:
            ticket = await connect_desk(ctx, desk).fetch(known.external_id)
        except DeskFailure as failure:
            if failure.retryable:
                raise
            log.info("enhancement.resolution_not_learnt", ticket_id=known.external_id, reason=failure.code)
            continue
        async with ctx.transaction() as session:
            await record_ticket(
                session,
                system=known.system,
                ticket=ticket,
                now=ctx.clock.now(),
                desk_id=desk.id,
                occurred_at=known.created_at,
            )


async def _learn_from_timeline(session: TenantSession, incident_id: IncidentId) -> None:
    """Index the incident anew, with what people wrote on its timeline as the resolution."""
    try:
        incident = await get_incident(session, incident_id=incident_id)
        entries = await list_latest_entries(session, incident_id=incident_id, kinds=_TOLD, limit=_MAX_ENTRIES)
    except IncidentNotFound:
        return
    said = [str(entry.data.get("text") or entry.reason) for entry in entries if entry.actor_kind in _PEOPLE]
    labels = "\n".join(f"{name}: {value}" for name, value in sorted(incident.labels.items()))
    await index_case(
        session,
        kind=SourceKind.INCIDENT,
        ref=str(incident_id),
        title=incident.title,
        body=f"{incident.alert_name}\n{labels}",
        resolution="\n".join(text for text in said if text),
        occurred_at=incident.created_at,
    )
