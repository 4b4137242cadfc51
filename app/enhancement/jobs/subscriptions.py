"""What happens here because of facts stated below; always only a row and a job, in the fact's own transaction."""

from __future__ import annotations

from app.core.events import subscribe
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession
from app.enhancement.jobs.definitions import EnhanceTicket, IndexIncident, LearnResolution
from app.enhancement.service.catalogue import desk_kinds
from app.enhancement.service.tickets import receive_ticket
from app.incidents.events import IncidentOpened, IncidentResolved, TicketReceived

# How long after an incident's end its ticket is read: people write the solution a little later.
LEARN_DELAY_S = 300.0
_MAX_LABELS = 2_000


@subscribe(TicketReceived)
async def enhance_received_ticket(session: TenantSession, event: TicketReceived) -> None:
    """This will open the ticket's enhancement and enqueue its job; a repeated fact finds both there.

    Tickets of systems that no desk of ours can write to (Jira, ServiceNow) open none: it could only fail.
    """
    if event.ticket.system not in desk_kinds():
        return
    enhancement_id, is_new = await receive_ticket(
        session,
        system=event.ticket.system,
        external_id=event.ticket.external_id,
        title=event.title,
        body=event.description,
        url=event.ticket.url,
        incident_id=event.incident_id,
        source_id=event.source_id,
        now=event.at,
    )
    if is_new:
        await enqueue(session, EnhanceTicket(enhancement_id=enhancement_id), unique_key=str(enhancement_id))


@subscribe(IncidentOpened)
async def index_opened_incident(session: TenantSession, event: IncidentOpened) -> None:
    """This will make the incident findable; one that came from a ticket of a known desk is found as that ticket."""
    if event.ticket is not None and event.ticket.system in desk_kinds():
        return
    labels = "\n".join(f"{name}: {value}" for name, value in sorted(event.labels.items()))
    job = IndexIncident(
        incident_id=event.incident_id,
        title=event.title,
        body=f"{event.alert_name}\n{labels}"[:_MAX_LABELS],
        opened_at=event.at.isoformat(),
    )
    await enqueue(session, job, unique_key=str(event.incident_id))


@subscribe(IncidentResolved)
async def learn_from_resolved_incident(session: TenantSession, event: IncidentResolved) -> None:
    """This will look up, a little later, how it ended, so that the next such case finds the solution."""
    await enqueue(
        session,
        LearnResolution(incident_id=event.incident_id),
        unique_key=str(event.incident_id),
        delay_s=LEARN_DELAY_S,
    )
