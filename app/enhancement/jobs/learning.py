"""Keeping the searchable past up to date: new incidents go in, and how they ended is added later."""

from __future__ import annotations

from datetime import datetime

import structlog

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

log = structlog.get_logger(__name__)


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
    """This will read the incident's tickets again, now that they hold a solution. A desk that is down is retried."""
    async with ctx.transaction() as session:
        tickets = await records.find_tickets_of_incident(session, job.incident_id)
        desks = {row.id: row for row in await records.page_of_desks(session, after=None, limit=200)}
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
