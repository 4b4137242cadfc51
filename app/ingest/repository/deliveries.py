"""Deliveries: claiming them for work, writing what became of them, reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Select, Uuid, any_, literal, select, text, update

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.ingest.models import CAME_TO_NOTHING, DeliveryRow, ReplayKeyRow
from app.ingest.rules.moments import id_at
from app.ingest.schemas import DeliveryState
from app.net.signing.conclusion import replay_key_of_id


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
with used as (
  insert into intake_usage as u (tenant_id, source_id, minute, alerts)
  select :tenant_id, cast(:source_id as uuid), date_trunc('minute', clock_timestamp()), cast(:alerts as bigint)
  where cast(:alerts as bigint) > 0
  on conflict (tenant_id, source_id) do update set
    alerts_before = case excluded.minute - u.minute
      when interval '0' then u.alerts_before when interval '1 minute' then u.alerts else 0 end,
    alerts = case when excluded.minute = u.minute then u.alerts else 0 end + excluded.alerts,
    minute = excluded.minute
)
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


async def count_attempt(session: TenantSession, *, delivery_id: UUID, change: int = 1) -> int | None:
    """This will count a try before it is made, or take one back, and return the number; None where there is nothing to try."""
    statement = (
        update(DeliveryRow)
        .where(
            DeliveryRow.tenant_id == session.tenant_id,
            DeliveryRow.id == delivery_id,
            DeliveryRow.state == DeliveryState.ACCEPTED.value,
        )
        .values(attempts=DeliveryRow.attempts + change)
        .returning(DeliveryRow.attempts)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def finish(
    session: TenantSession,
    findings: Sequence[Finding],
    *,
    job_id: UUID,
    now: datetime,
    used: tuple[UUID, int] | None = None,
) -> None:
    """This will write what became of the deliveries, in one statement.

    Args:
        session: The tenant transaction; it should end soon after.
        findings: At least one.
        job_id: Which job found it.
        now: When.
        used: Their source and how many alerts they brought, for its limit.
    """
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
            "source_id": used[0] if used is not None else None,
            "alerts": used[1] if used is not None else 0,
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


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries; None and empty mean "any".

    Attributes:
        since: Came in at or after; until, before.
    """

    states: tuple[DeliveryState, ...] = ()
    source_id: UUID | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_of_failures(self) -> bool:
        """Whether only what came to nothing can be meant, so that its own small indexes answer."""
        return bool(self.reason) or (bool(self.states) and FAILURES.issuperset(self.states))


FAILURES = frozenset({DeliveryState.REJECTED, DeliveryState.FAILED})


def matching(session: TenantSession, wanted: DeliveryFilter) -> Select[DeliveryRow]:
    """This will return the query for the deliveries that are wanted, in no order yet."""
    statement = select(DeliveryRow).where(DeliveryRow.tenant_id == session.tenant_id)
    if wanted.is_of_failures:
        # Written out: a prepared statement's generic plan could not match a parameter with a partial index.
        statement = statement.where(text(CAME_TO_NOTHING))
    if wanted.states:
        statement = statement.where(DeliveryRow.state.in_([state.value for state in wanted.states]))
    if wanted.source_id is not None:
        statement = statement.where(DeliveryRow.source_id == wanted.source_id)
    if wanted.reason:
        statement = statement.where(DeliveryRow.reason == wanted.reason)
    if wanted.since is not None:
        statement = statement.where(DeliveryRow.id >= id_at(wanted.since))
    if wanted.until is not None:
        statement = statement.where(DeliveryRow.id < id_at(wanted.until))
    return statement


async def list_deliveries(
    session: TenantSession, *, wanted: DeliveryFilter, before: UUID | None, limit: int
) -> Sequence[DeliveryRow]:
    """This will return deliveries, newest first."""
    query = newest_first(matching(session, wanted), DeliveryRow.id, before=before, limit=limit)
    return (await session.scalars(query)).all()


# By the key that knows a retry, which begins with the sender's id where the profile says that the id identifies; and, as
# such keys are forgotten after a while and not every profile has them, by a look through the newest deliveries. An index
# of its own would be paid for by each delivery.
_EXTERNAL = """
with known as (
  select k.delivery_id as id from (
    select id from sources where tenant_id = :tenant_id {of_source_id} order by id desc limit 1000
  ) s join replay_keys k on k.tenant_id = :tenant_id and k.source_id = s.id and k.replay_key = :replay_key
), newest as (
  select id, external_id from deliveries where tenant_id = :tenant_id {of_source} and id < :before
  order by id desc limit :within
)
select id from known where id < :before
union select id from newest where external_id = :external_id
order by id desc limit :limit
"""
_EXTERNAL_ANYWHERE = text(_EXTERNAL.format(of_source_id="", of_source=""))
_EXTERNAL_OF_SOURCE = text(_EXTERNAL.format(of_source_id="and id = :source_id", of_source="and source_id = :source_id"))


async def find_by_external_id(
    session: TenantSession, *, external_id: str, source_id: UUID | None, before: UUID | None, within: int, limit: int
) -> Sequence[DeliveryRow]:
    """This will return the deliveries that their senders gave this id, newest first.

    Args:
        session: A tenant transaction.
        external_id: As the sender wrote it.
        source_id: Of one source only.
        before: Older ones than this only.
        within: How many of the newest deliveries are looked through.
        limit: How many are returned at the most.
    """
    values = {
        "tenant_id": session.tenant_id,
        "replay_key": replay_key_of_id(external_id),
        "external_id": external_id,
        "before": before or UUID(int=2**128 - 1),
        "within": within,
        "limit": limit,
    }
    if source_id is None:
        found = await session.execute(_EXTERNAL_ANYWHERE, values)
    else:
        found = await session.execute(_EXTERNAL_OF_SOURCE, values | {"source_id": source_id})
    ids = list(found.scalars())
    statement = select(DeliveryRow).where(
        DeliveryRow.tenant_id == session.tenant_id, DeliveryRow.id == any_(literal(ids, ARRAY(Uuid)))
    )
    return (await session.execute(statement.order_by(DeliveryRow.id.desc()))).scalars().all() if ids else []


async def load_body(session: TenantSession, *, delivery_id: UUID) -> bytes | None:
    """This will return the body alone, or None where there is no such delivery."""
    statement = select(DeliveryRow.body).where(
        DeliveryRow.tenant_id == session.tenant_id, DeliveryRow.id == delivery_id
    )
    return (await session.execute(statement)).scalar_one_or_none()
