"""Replays and the deliveries that they take."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, delete, func, literal, select, text

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.models import DeliveryRow
from app.ingest.replays.models import ReplayRow
from app.ingest.repository.deliveries import DeliveryFilter, matching

_PUT_BACK = text(
    "update deliveries set state = 'accepted', reason = '', detail = '', attempts = 0, result = null, processed_at = null,"
    " job_id = null, stored_at = now()"
    " where tenant_id = :tenant_id and id = any(cast(:ids as uuid[])) and id between :first and :last"
    " and state in ('rejected', 'failed') returning shard"
)


async def find_replay(session: TenantSession, *, replay_id: UUID, lock: bool = False) -> ReplayRow | None:
    query = select(ReplayRow).where(ReplayRow.tenant_id == session.tenant_id, ReplayRow.id == replay_id)
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def find_running(session: TenantSession) -> UUID | None:
    query = select(ReplayRow.id).where(ReplayRow.tenant_id == session.tenant_id, text("state = 'running'"))
    return (await session.scalars(query)).one_or_none()


async def list_replays(session: TenantSession, *, before: UUID | None, limit: int) -> Sequence[ReplayRow]:
    """This will return replays, newest first."""
    query = select(ReplayRow).where(ReplayRow.tenant_id == session.tenant_id)
    return (await session.scalars(newest_first(query, ReplayRow.id, before=before, limit=limit))).all()


async def forget_old(session: TenantSession, *, keep: int) -> None:
    """This will delete ended replays but the newest ``keep``."""
    oldest = (
        select(ReplayRow.id)
        .where(ReplayRow.tenant_id == session.tenant_id)
        .order_by(ReplayRow.id.desc())
        .offset(keep)
        .limit(1)
        .scalar_subquery()
    )
    await session.execute(
        delete(ReplayRow).where(
            ReplayRow.tenant_id == session.tenant_id, ReplayRow.id <= oldest, ReplayRow.state != "running"
        )
    )


async def count_states(session: TenantSession, *, ids: Sequence[UUID]) -> dict[str, int]:
    """This will count the deliveries of one batch by state."""
    query = (
        select(DeliveryRow.state, func.count())
        .where(
            DeliveryRow.tenant_id == session.tenant_id,
            DeliveryRow.id == any_(literal(list(ids), ARRAY(Uuid))),
            DeliveryRow.id.between(min(ids), max(ids)),
        )
        .group_by(DeliveryRow.state)
    )
    return {state: count for state, count in (await session.execute(query)).all()}


async def list_next(
    session: TenantSession, *, wanted: DeliveryFilter, after: UUID, until: UUID, limit: int
) -> list[UUID]:
    """This will lock and return the next deliveries in the order in which they came in; who is busy is passed."""
    query = (
        matching(session, wanted)
        .with_only_columns(DeliveryRow.id)
        .where(DeliveryRow.id > after, DeliveryRow.id < until)
        .order_by(DeliveryRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.scalars(query)).all())


async def put_back(session: TenantSession, *, ids: Sequence[UUID]) -> set[int]:
    """This will accept the locked deliveries anew and return their shards.

    Their place in the queue is that of deliveries that come in now, or else a replay would stand in front of them.
    """
    values = {"tenant_id": session.tenant_id, "ids": list(ids), "first": min(ids), "last": max(ids)}
    return set((await session.execute(_PUT_BACK, values)).scalars())
