"""The queries of the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.models import AuditHeadRow, AuditRow
from app.audit.rules import GENESIS
from app.db.tenancy import TenantSession

BATCH = 1000


async def lock_head(session: TenantSession) -> tuple[int, bytes]:
    """This will lock the tenant's chain for the rest of the transaction and return its last seq and hash."""
    statement = select(AuditHeadRow.seq, AuditHeadRow.hash).where(AuditHeadRow.tenant_id == session.tenant_id)
    row = (await session.execute(statement.with_for_update())).one_or_none()
    if row is None:
        created = upsert(AuditHeadRow).values(tenant_id=session.tenant_id, seq=0, hash=GENESIS).on_conflict_do_nothing()
        await session.execute(created)
        row = (await session.execute(statement.with_for_update())).one()
    return row.seq, row.hash


async def append(session: TenantSession, rows: Sequence[dict[str, object]]) -> None:
    """This will insert entries and move the head to the last of them."""
    await session.execute(insert(AuditRow), list(rows))
    await session.execute(
        update(AuditHeadRow)
        .where(AuditHeadRow.tenant_id == session.tenant_id)
        .values(seq=rows[-1]["seq"], hash=rows[-1]["hash"])
    )


async def list_entries(
    session: TenantSession,
    *,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    before_seq: int | None,
    limit: int,
) -> Sequence[AuditRow]:
    """This will return entries, newest first."""
    statement = select(AuditRow).where(AuditRow.tenant_id == session.tenant_id)
    if actor is not None:
        statement = statement.where(AuditRow.actor_id == actor)
    if action is not None:
        statement = statement.where(AuditRow.action == action)
    if since is not None:
        statement = statement.where(AuditRow.at >= since)
    if before_seq is not None:
        statement = statement.where(AuditRow.seq < before_seq)
    return (await session.execute(statement.order_by(AuditRow.seq.desc()).limit(limit))).scalars().all()


async def stream_entries(session: TenantSession, *, up_to: int) -> AsyncIterator[AuditRow]:
    """This will yield the chain in order up to the given seq, a bounded number of rows in memory."""
    last = 0
    while True:
        statement = (
            select(AuditRow)
            .where(AuditRow.tenant_id == session.tenant_id, AuditRow.seq > last, AuditRow.seq <= up_to)
            .order_by(AuditRow.seq)
            .limit(BATCH)
        )
        rows = (await session.execute(statement)).scalars().all()
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        last = rows[-1].seq
        session.expunge_all()


async def find_head(session: TenantSession) -> tuple[int, bytes]:
    """This will return the last seq and hash that were written, without locking the chain."""
    statement = select(AuditHeadRow.seq, AuditHeadRow.hash).where(AuditHeadRow.tenant_id == session.tenant_id)
    row = (await session.execute(statement)).one_or_none()
    return (row.seq, row.hash) if row is not None else (0, GENESIS)


async def find_beyond_head(session: TenantSession) -> int | None:
    """This will return the first seq that the head does not know of; one statement, so one snapshot of both."""
    head = select(AuditHeadRow.seq).where(AuditHeadRow.tenant_id == session.tenant_id).scalar_subquery()
    statement = select(func.min(AuditRow.seq)).where(
        AuditRow.tenant_id == session.tenant_id, AuditRow.seq > func.coalesce(head, 0)
    )
    return (await session.execute(statement)).scalar_one()
