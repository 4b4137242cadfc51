"""Desks, tickets, knowledge entries, enhancements, evidence and ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.enhancement.models import (
    DeskRow,
    EnhancementRow,
    EvidenceRow,
    FeedbackRow,
    KnowledgeEntryRow,
    TicketRow,
)


async def find_desk(session: TenantSession, desk_id: UUID) -> DeskRow | None:
    return await session.get(DeskRow, (session.tenant_id, desk_id))


async def find_desk_for(session: TenantSession, *, kind: str, source_id: UUID | None) -> DeskRow | None:
    """This will return the enabled desk bound to the source, else the oldest unbound one of the kind."""
    statement = select(DeskRow).where(DeskRow.tenant_id == session.tenant_id, DeskRow.kind == kind, DeskRow.enabled)
    rows = list((await session.execute(statement.order_by(DeskRow.id))).scalars())
    bound = [row for row in rows if source_id is not None and row.source_id == source_id]
    return next(iter(bound or [row for row in rows if row.source_id is None]), None)


async def release_desk(session: TenantSession, desk_id: UUID) -> None:
    """This will let go of a desk's tickets, so that the desk can be deleted; the tickets stay searchable."""
    await session.execute(
        update(TicketRow)
        .where(TicketRow.tenant_id == session.tenant_id, TicketRow.desk_id == desk_id)
        .values(desk_id=None)
    )
    await session.execute(delete(DeskRow).where(DeskRow.tenant_id == session.tenant_id, DeskRow.id == desk_id))


async def page_of_desks(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[DeskRow]:
    statement = select(DeskRow).where(DeskRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(statement, DeskRow.id, before=before, limit=limit))).all()


async def find_entry(session: TenantSession, entry_id: UUID) -> KnowledgeEntryRow | None:
    return await session.get(KnowledgeEntryRow, (session.tenant_id, entry_id))


async def page_of_entries(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[KnowledgeEntryRow]:
    statement = select(KnowledgeEntryRow).where(KnowledgeEntryRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(statement, KnowledgeEntryRow.id, before=before, limit=limit))).all()


async def find_ticket_by_number(session: TenantSession, *, system: str, external_id: str) -> TicketRow | None:
    statement = select(TicketRow).where(
        TicketRow.tenant_id == session.tenant_id, TicketRow.system == system, TicketRow.external_id == external_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def find_tickets_of_incident(session: TenantSession, incident_id: UUID) -> Sequence[TicketRow]:
    statement = select(TicketRow).where(TicketRow.tenant_id == session.tenant_id, TicketRow.incident_id == incident_id)
    return (await session.execute(statement.limit(20))).scalars().all()


async def upsert_ticket(session: TenantSession, *, system: str, external_id: str, values: Mapping[str, Any]) -> UUID:
    """This will store what is known of a ticket and return its row's id."""
    statement = (
        insert(TicketRow)
        .values(tenant_id=session.tenant_id, id=new_id(), system=system, external_id=external_id, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "system", "external_id"], set_=dict(values))
        .returning(TicketRow.id)
    )
    ticket_id: UUID = (await session.execute(statement)).scalar_one()
    return ticket_id


async def open_enhancement(
    session: TenantSession, *, ticket_id: UUID, incident_id: UUID | None, now: datetime
) -> tuple[UUID, bool]:
    """This will return the ticket's one enhancement and whether it is new."""
    fresh = new_id()
    statement = (
        insert(EnhancementRow)
        .values(
            tenant_id=session.tenant_id,
            id=fresh,
            ticket_id=ticket_id,
            incident_id=incident_id,
            state="queued",
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "ticket_id"])
        .returning(EnhancementRow.id)
    )
    if (await session.execute(statement)).scalar_one_or_none() is not None:
        return fresh, True
    known = select(EnhancementRow.id).where(
        EnhancementRow.tenant_id == session.tenant_id, EnhancementRow.ticket_id == ticket_id
    )
    return (await session.execute(known)).scalar_one(), False


async def find_enhancement(
    session: TenantSession, enhancement_id: UUID, *, lock: bool = False
) -> EnhancementRow | None:
    statement = select(EnhancementRow).where(
        EnhancementRow.tenant_id == session.tenant_id, EnhancementRow.id == enhancement_id
    )
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return (await session.execute(statement)).scalar_one_or_none()


async def find_enhancement_of_ticket(session: TenantSession, ticket_id: UUID) -> EnhancementRow | None:
    statement = select(EnhancementRow).where(
        EnhancementRow.tenant_id == session.tenant_id, EnhancementRow.ticket_id == ticket_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


def _with_ticket() -> Select[EnhancementRow, TicketRow]:
    return select(EnhancementRow, TicketRow).join(
        TicketRow,
        (TicketRow.tenant_id == EnhancementRow.tenant_id) & (TicketRow.id == EnhancementRow.ticket_id),
    )


async def find_enhancement_with_ticket(
    session: TenantSession, enhancement_id: UUID
) -> tuple[EnhancementRow, TicketRow] | None:
    statement = _with_ticket().where(EnhancementRow.tenant_id == session.tenant_id, EnhancementRow.id == enhancement_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1])


async def page_of_enhancements(
    session: TenantSession,
    *,
    state: str | None,
    reason: str | None,
    ticket: str | None,
    incident_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[tuple[EnhancementRow, TicketRow]]:
    statement = _with_ticket().where(EnhancementRow.tenant_id == session.tenant_id)
    if state is not None:
        statement = statement.where(EnhancementRow.state == state)
    if reason is not None:
        statement = statement.where(EnhancementRow.reason_code == reason)
    if ticket is not None:
        statement = statement.where(TicketRow.external_id == ticket)
    if incident_id is not None:
        statement = statement.where(EnhancementRow.incident_id == incident_id)
    rows = await session.execute(newest_first(statement, EnhancementRow.id, before=before, limit=limit))
    return [(row[0], row[1]) for row in rows]


async def replace_evidence(session: TenantSession, enhancement_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will store the evidence of the note that is being written, in place of an earlier try's."""
    await session.execute(
        delete(EvidenceRow).where(
            EvidenceRow.tenant_id == session.tenant_id, EvidenceRow.enhancement_id == enhancement_id
        )
    )
    if rows:
        common = {"tenant_id": session.tenant_id, "enhancement_id": enhancement_id}
        await session.execute(insert(EvidenceRow), [{**common, "id": new_id(), **row} for row in rows])


async def list_evidence(session: TenantSession, enhancement_id: UUID) -> Sequence[EvidenceRow]:
    statement = select(EvidenceRow).where(
        EvidenceRow.tenant_id == session.tenant_id, EvidenceRow.enhancement_id == enhancement_id
    )
    return (await session.execute(statement.order_by(EvidenceRow.id))).scalars().all()


async def spent_usd(session: TenantSession, *, since: datetime) -> Decimal:
    """This will return what the tenant's model calls have cost since then."""
    statement = select(func.coalesce(func.sum(EnhancementRow.cost_usd), 0)).where(
        EnhancementRow.tenant_id == session.tenant_id, EnhancementRow.composed_at >= since
    )
    return Decimal((await session.execute(statement)).scalar_one())


async def recent_model_outcomes(session: TenantSession, *, since: datetime, limit: int) -> Sequence[str]:
    """This will return how the tenant's latest model calls ended, newest first; skipped calls are left out."""
    statement = (
        select(EnhancementRow.model_outcome)
        .where(
            EnhancementRow.tenant_id == session.tenant_id,
            EnhancementRow.composed_at >= since,
            EnhancementRow.model != "",
        )
        .order_by(EnhancementRow.composed_at.desc(), EnhancementRow.id.desc())
        .limit(limit)
    )
    return (await session.execute(statement)).scalars().all()


async def add_feedback(session: TenantSession, row: FeedbackRow) -> None:
    session.add(row)
    await session.flush()


async def page_of_feedback(
    session: TenantSession,
    *,
    start: datetime | None,
    end: datetime | None,
    ticket: str | None,
    enhancement_id: UUID | None,
    max_rating: int | None,
    before: UUID | None,
    limit: int,
) -> Sequence[FeedbackRow]:
    statement = select(FeedbackRow).where(*_within(session, start, end))
    if ticket is not None:
        statement = statement.where(FeedbackRow.ticket == ticket)
    if enhancement_id is not None:
        statement = statement.where(FeedbackRow.enhancement_id == enhancement_id)
    if max_rating is not None:
        statement = statement.where(FeedbackRow.rating <= max_rating)
    return (await session.scalars(newest_first(statement, FeedbackRow.id, before=before, limit=limit))).all()


@dataclass(frozen=True)
class FeedbackGroup:
    """How many opinions of one day are alike."""

    day: date
    rating: int | None
    sentiment: str
    reason_code: str
    method: str
    count: int


async def group_feedback(
    session: TenantSession, *, start: datetime | None, end: datetime | None
) -> list[FeedbackGroup]:
    """This will count opinions by day (UTC), rating, sentiment, reason and method."""
    columns = (
        func.date(func.timezone("UTC", FeedbackRow.created_at)).label("day"),
        FeedbackRow.rating,
        FeedbackRow.sentiment,
        FeedbackRow.reason_code,
        FeedbackRow.method,
    )
    statement = select(*columns, func.count()).where(*_within(session, start, end)).group_by(*columns)
    return [FeedbackGroup(*row) for row in await session.execute(statement)]


def _within(session: TenantSession, start: datetime | None, end: datetime | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [FeedbackRow.tenant_id == session.tenant_id]
    if start is not None:
        conditions.append(FeedbackRow.created_at >= start)
    if end is not None:
        conditions.append(FeedbackRow.created_at < end)
    return conditions
