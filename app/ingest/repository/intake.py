"""Writing deliveries: many requests, one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text

from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.ingest.schemas import Intake

T = TypeVar("T")

# One round trip for the whole batch. A known key is "updated" rather than skipped, because only then does RETURNING
# tell whose it is, also when the other process committed it a moment ago; an expired one starts anew. Keys are taken
# in order, so two processes with the same requests wait for each other instead of dead-locking. The job is inserted
# only where something new was accepted, and not at all while one waits to be begun, or while the shard's backlog is worked
# off: whoever has a backlog would otherwise always have a job in front of those that have none.
_STORE = """
with input as (
  select * from unnest(
    $3::uuid[], $4::uuid[], $5::smallint[], $6::timestamptz[],
    $7::text[], $8::bytea[], $9::bytea[],
    $10::double precision[], $11::text[], $12::bytea[],
    $13::text[], $14::text[], $15::uuid[]
  ) as t(id, source_id, shard, received_at, external_id, replay_key, body_sha256, window_s, headers, body, traceparent,
    reason, conflicts_with)
), keys as (
  insert into replay_keys as k (tenant_id, source_id, replay_key, delivery_id, body_sha256, expires_at)
  select $1::uuid, source_id, replay_key, id, body_sha256, received_at + make_interval(secs => window_s)
  from input order by source_id, replay_key
  on conflict (tenant_id, source_id, replay_key) do update set
    delivery_id = case when k.expires_at <= $2::timestamptz then excluded.delivery_id else k.delivery_id end,
    body_sha256 = case when k.expires_at <= $2::timestamptz then excluded.body_sha256 else k.body_sha256 end,
    expires_at = case when k.expires_at <= $2::timestamptz then excluded.expires_at else k.expires_at end,
    hits = case when k.expires_at <= $2::timestamptz then 0 else k.hits + 1 end
  returning source_id, replay_key, delivery_id, body_sha256
), stored as (
  insert into deliveries (tenant_id, id, source_id, received_at, shard, state, reason, external_id, replay_key, body_sha256,
    headers, body, size_bytes, traceparent, conflicts_with)
  select $1::uuid, i.id, i.source_id, i.received_at, i.shard,
    case when i.reason is null then 'accepted' else 'rejected' end, coalesce(i.reason, ''), i.external_id, i.replay_key,
    i.body_sha256, cast(i.headers as jsonb), i.body, octet_length(i.body), i.traceparent, i.conflicts_with
  from input i join keys k on k.delivery_id = i.id
  returning shard, state
), job as (
  insert into jobs (tenant_id, id, kind, queue, payload, unique_key, coalesces, max_attempts)
  select $1::uuid, ($16::uuid[])[s.shard + 1], 'ingest.drain_intake', 'intake',
    jsonb_build_object('shard', s.shard), 'shard:' || s.shard, true, $17::integer
  from (select distinct shard from stored where state = 'accepted' order by shard) s
  where not exists (
    select 1 from jobs b where b.tenant_id = $1::uuid and b.kind = 'ingest.drain_backlog'
      and b.unique_key = 'shard:' || s.shard and b.state in ('scheduled', 'published')
  ) and not exists (
    select 1 from jobs b where b.tenant_id = $1::uuid and b.state = 'running' and b.kind = 'ingest.drain_backlog'
      and b.unique_key = 'shard:' || s.shard
  )
  on conflict do nothing returning id
)
select k.source_id, k.replay_key, k.delivery_id, k.body_sha256, (select count(*) from job) as jobs from keys k
"""


async def store(
    session: TenantSession, batch: Sequence[Intake], *, now: datetime, shards: int, max_attempts: int
) -> dict[tuple[UUID, bytes], tuple[UUID, bytes]]:
    """This will write the batch and its intake jobs; no two entries may share source and replay key.

    Returns:
        For each source and replay key: the delivery that holds it now, and the hash of that one's body.
    """
    rows = await session.driver.fetch(
        _STORE,
        session.tenant_id,
        now,
        [entry.id for entry in batch],
        [entry.source_id for entry in batch],
        [entry.shard for entry in batch],
        [entry.received_at for entry in batch],
        [entry.external_id for entry in batch],
        [entry.replay_key for entry in batch],
        [entry.body_sha256 for entry in batch],
        [entry.replay_window_s for entry in batch],
        [entry.headers for entry in batch],
        [entry.body for entry in batch],
        [entry.traceparent for entry in batch],
        # Rare columns: unnest fills what a shorter array lacks with nulls.
        _or_nothing([entry.reason for entry in batch]),
        _or_nothing([entry.conflicts_with for entry in batch]),
        [new_id() for _ in range(shards)],
        max_attempts,
    )
    if any(row[4] for row in rows):
        session.enqueued = True
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def _or_nothing(values: list[T | None]) -> list[T | None]:
    return values if any(value is not None for value in values) else []


_COUNT_REFUSALS = text(
    "insert into source_refusals as r (tenant_id, source_id, hour, reason, count, last_at)"
    " select cast(:tenant_id as uuid), source_id, date_trunc('hour', cast(:now as timestamptz), 'UTC'), reason, count, :now"
    " from unnest(cast(:source_ids as uuid[]), cast(:reasons as text[]), cast(:counts as bigint[]))"
    " as t(source_id, reason, count) order by source_id, reason"
    " on conflict (tenant_id, source_id, hour, reason) do update"
    " set count = r.count + excluded.count, last_at = greatest(r.last_at, excluded.last_at)"
)


async def count_refusals(session: TenantSession, refusals: Sequence[tuple[UUID, str, int]], *, now: datetime) -> None:
    """This will add ``(source, reason, count)`` to the counts of the hour."""
    await session.execute(
        _COUNT_REFUSALS,
        {
            "tenant_id": session.tenant_id,
            "now": now,
            "source_ids": [source_id for source_id, _, _ in refusals],
            "reasons": [reason for _, reason, _ in refusals],
            "counts": [count for _, _, count in refusals],
        },
    )
