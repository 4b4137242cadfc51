"""Deliveries: claiming them for work, writing what became of them, reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text, update

from app.db.tenancy import TenantSession
from app.ingest.models import DeliveryRow, ReplayKeyRow
from app.ingest.schemas import DeliveryState


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is locked for this transaction, with what is needed to work on it."""

    id: UUID
    source_id: UUID
    received_at: datetime
    headers: dict[str, Any]
    body: bytes
    traceparent: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one delivery."""

    delivery_id: UUID
    state: DeliveryState
    reason: str
    detail: str
    result: dict[str, Any]


# Deliveries of one source only, the one of the oldest: a transaction that applied several sources' alerts could lock
# alerts and incidents in another order than its neighbour does.
_CLAIM = text("""
with oldest as (
  select source_id from deliveries
  where tenant_id = :tenant_id and shard = :shard and state = 'accepted' and id <> all(cast(:skipping as uuid[]))
  order by stored_at limit 1 for update skip locked
)
select id, size_bytes from deliveries
where tenant_id = :tenant_id and shard = :shard and state = 'accepted' and source_id = (select source_id from oldest)
  and id <> all(cast(:skipping as uuid[]))
order by id limit :limit for update skip locked
""")
_LOAD = text(
    "select id, source_id, received_at, headers, body, traceparent, attempts from deliveries"
    " where tenant_id = :tenant_id and id = any(cast(:ids as uuid[])) and state = 'accepted' order by id"
    " for update skip locked"
)
_FINISH = text("""
update deliveries d set state = f.state, reason = f.reason, detail = f.detail, result = cast(f.result as jsonb),
  processed_at = :now, job_id = :job_id
from unnest(cast(:ids as uuid[]), cast(:states as text[]), cast(:reasons as text[]), cast(:details as text[]),
  cast(:results as text[])) as f(id, state, reason, detail, result)
where d.tenant_id = :tenant_id and d.id = f.id and d.id between :first and :last
""")


async def claim_accepted(
    session: TenantSession, *, shard: int, limit: int, limit_bytes: int, skipping: Iterable[UUID]
) -> list[UUID]:
    """This will lock the oldest accepted deliveries of one source and return their ids in order of arrival."""
    values = {"tenant_id": session.tenant_id, "shard": shard, "limit": limit, "skipping": list(skipping)}
    rows = await session.execute(_CLAIM, values)
    taken: list[UUID] = []
    size_bytes = 0
    for delivery_id, size in rows.all():
        size_bytes += size
        if taken and size_bytes > limit_bytes:
            break
        taken.append(delivery_id)
    return taken


async def load_claimed(session: TenantSession, *, ids: Sequence[UUID]) -> list[ClaimedDelivery]:
    """This will return those of ``ids`` that still wait and that nobody else works on, locked."""
    rows = await session.execute(_LOAD, {"tenant_id": session.tenant_id, "ids": list(ids)})
    return [ClaimedDelivery(*row) for row in rows.all()]


async def count_attempt(session: TenantSession, *, delivery_id: UUID) -> int | None:
    """This will count a try before it is made and return its number; None where there is nothing to try."""
    statement = (
        update(DeliveryRow)
        .where(
            DeliveryRow.tenant_id == session.tenant_id,
            DeliveryRow.id == delivery_id,
            DeliveryRow.state == DeliveryState.ACCEPTED.value,
        )
        .values(attempts=DeliveryRow.attempts + 1)
        .returning(DeliveryRow.attempts)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def finish(session: TenantSession, findings: Sequence[Finding], *, job_id: UUID, now: datetime) -> None:
    """This will write what became of the deliveries, in one statement."""
    ids = [finding.delivery_id for finding in findings]
    await session.execute(
        _FINISH,
        {
            "tenant_id": session.tenant_id,
            # The join alone would open every partition.
            "first": min(ids),
            "last": max(ids),
            "now": now,
            "job_id": job_id,
            "ids": ids,
            "states": [finding.state.value for finding in findings],
            "reasons": [finding.reason for finding in findings],
            "details": [finding.detail.replace("\x00", "\ufffd")[:1000] for finding in findings],
            "results": [orjson.dumps(finding.result).decode() for finding in findings],
        },
    )


async def has_accepted(session: TenantSession, *, shard: int) -> bool:
    statement = select(DeliveryRow.id).where(
        DeliveryRow.tenant_id == session.tenant_id, DeliveryRow.shard == shard, DeliveryRow.state == "accepted"
    )
    return (await session.execute(statement.limit(1))).first() is not None


async def find_delivery(session: TenantSession, *, delivery_id: UUID, lock: bool = False) -> DeliveryRow | None:
    statement = select(DeliveryRow).where(DeliveryRow.tenant_id == session.tenant_id, DeliveryRow.id == delivery_id)
    if lock:
        statement = statement.with_for_update()
    return (await session.execute(statement)).scalar_one_or_none()


async def count_duplicates(session: TenantSession, *, delivery: DeliveryRow) -> int:
    """This will return how often the delivery came again, as far as its replay key is still kept."""
    statement = select(ReplayKeyRow.hits).where(
        ReplayKeyRow.tenant_id == session.tenant_id,
        ReplayKeyRow.source_id == delivery.source_id,
        ReplayKeyRow.replay_key == delivery.replay_key,
        ReplayKeyRow.delivery_id == delivery.id,
    )
    return (await session.execute(statement)).scalar_one_or_none() or 0


async def list_deliveries(
    session: TenantSession,
    *,
    states: Sequence[DeliveryState],
    source_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[DeliveryRow]:
    """This will return deliveries, newest first."""
    statement = select(DeliveryRow).where(DeliveryRow.tenant_id == session.tenant_id)
    if states:
        statement = statement.where(DeliveryRow.state.in_([state.value for state in states]))
    if source_id is not None:
        statement = statement.where(DeliveryRow.source_id == source_id)
    if before is not None:
        statement = statement.where(DeliveryRow.id < before)
    return (await session.execute(statement.order_by(DeliveryRow.id.desc()).limit(limit))).scalars().all()
