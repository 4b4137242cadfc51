"""Tickets as we know them: noticed by a webhook, read from the desk, kept for later searches. Never with secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.ids import IncidentId, SourceId
from app.core.redaction import remove_secrets
from app.db.tenancy import TenantSession
from app.enhancement.contract import DeskTicket
from app.enhancement.repository import records
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.rules.text import cut, plain_text
from app.enhancement.service.cases import index_case


async def receive_ticket(
    session: TenantSession,
    *,
    system: str,
    external_id: str,
    title: str,
    body: str,
    url: str,
    incident_id: IncidentId | None,
    source_id: SourceId | None,
    now: datetime,
) -> tuple[UUID, bool]:
    """This will note a ticket that a webhook told of, and open its one enhancement.

    Returns:
        The enhancement's id and whether it is new; a repeated webhook changes nothing but the ticket's text.
    """
    desk = await records.find_desk_for(session, kind=system, source_id=source_id)
    values: dict[str, Any] = {
        "desk_id": desk.id if desk is not None else None,
        "incident_id": incident_id,
        "title": cut(remove_secrets(plain_text(title)), 500),
        "body": remove_secrets(plain_text(body)),
        "url": url,
        "updated_at": now,
    }
    ticket_id = await records.upsert_ticket(session, system=system, external_id=external_id, values=values)
    return await records.open_enhancement(session, ticket_id=ticket_id, incident_id=incident_id, now=now)


async def record_ticket(
    session: TenantSession,
    *,
    system: str,
    ticket: DeskTicket,
    now: datetime,
    desk_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> UUID:
    """This will store a ticket as the desk has it, and make it searchable. Also the way to import past tickets."""
    values: dict[str, Any] = {
        "title": cut(remove_secrets(plain_text(ticket.title)), 500),
        "body": remove_secrets(plain_text(ticket.body)),
        "resolution": remove_secrets(plain_text(ticket.resolution, limit=4_000)),
        "status": cut(ticket.status, 100),
        "people": list(ticket.people),
        "url": ticket.url,
        "digest": ticket.digest(),
        "fetched_at": now,
        "updated_at": now,
    }
    if desk_id is not None:
        values["desk_id"] = desk_id
    ticket_id = await records.upsert_ticket(session, system=system, external_id=ticket.external_id, values=values)
    await index_case(
        session,
        kind=SourceKind.TICKET,
        ref=ticket.external_id,
        title=ticket.title,
        body=ticket.body,
        resolution=ticket.resolution,
        url=ticket.url,
        occurred_at=occurred_at or now,
    )
    return ticket_id
