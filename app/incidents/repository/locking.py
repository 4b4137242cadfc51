"""Taking the locks for a batch, always in this order: dedup keys, groups, incidents, the number counter.

Each kind is locked by one statement, in key order, so two batches can wait for each other but never in a circle.
Rows are read again after their lock was granted: a join in the locking statement would show what they were before the
wait. Locks are ``no key update``, so that a timeline entry or a run that refers to an incident is not held up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, any_, func, literal, select, text

from app.db.tenancy import TenantSession
from app.incidents.models import FIRING, OPEN, AlertHeadRow, AlertRow, IncidentGroupRow, IncidentRow, TimelineRow

_ENSURE_HEADS = text(
    "insert into alert_heads (tenant_id, source_id, dedup_key, touched_at)"
    " select :tenant_id, :source_id, k.key, :now from unnest(cast(:keys as text[])) as k(key)"
    " where not exists (select 1 from alert_heads h where h.tenant_id = :tenant_id and h.source_id = :source_id"
    " and h.dedup_key = k.key) order by k.key on conflict do nothing"
)
_ENSURE_GROUPS = text(
    "insert into incident_groups (tenant_id, source_id, group_key, touched_at)"
    " select :tenant_id, :source_id, k.key, :now from unnest(cast(:keys as text[])) as k(key)"
    " where not exists (select 1 from incident_groups g where g.tenant_id = :tenant_id and g.source_id = :source_id"
    " and g.group_key = k.key) order by k.key on conflict do nothing"
)
_TAKE_NUMBERS = text(
    "insert into incident_counters (tenant_id, value) values (:tenant_id, :count)"
    " on conflict (tenant_id) do update set value = incident_counters.value + excluded.value returning value"
)


async def lock_heads(
    session: TenantSession, *, source_id: UUID, keys: Sequence[str], now: datetime
) -> Sequence[AlertHeadRow]:
    """This will lock the head of each key, making those that do not exist yet.

    The insert comes first and reads without a lock: whoever waits in it holds nothing but rows of its own, so it can
    not close a circle with those who wait for existing rows.
    """
    values = {"tenant_id": session.tenant_id, "source_id": source_id, "keys": list(keys), "now": now}
    await session.execute(_ENSURE_HEADS, values)
    query = (
        select(AlertHeadRow)
        .where(
            AlertHeadRow.tenant_id == session.tenant_id,
            AlertHeadRow.source_id == source_id,
            AlertHeadRow.dedup_key == any_(literal(list(keys), ARRAY(Text))),
        )
        .order_by(AlertHeadRow.dedup_key)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def lock_groups(
    session: TenantSession, *, source_id: UUID, keys: Sequence[str], now: datetime
) -> Sequence[IncidentGroupRow]:
    """This will lock each group, making those that do not exist yet."""
    values = {"tenant_id": session.tenant_id, "source_id": source_id, "keys": list(keys), "now": now}
    await session.execute(_ENSURE_GROUPS, values)
    query = (
        select(IncidentGroupRow)
        .where(
            IncidentGroupRow.tenant_id == session.tenant_id,
            IncidentGroupRow.source_id == source_id,
            IncidentGroupRow.group_key == any_(literal(list(keys), ARRAY(Text))),
        )
        .order_by(IncidentGroupRow.group_key)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def count_open(session: TenantSession, *, source_id: UUID, most: int) -> int:
    """This will count the source's open incidents, up to ``most``; nothing is locked."""
    query = select(IncidentRow.group_key).where(
        IncidentRow.tenant_id == session.tenant_id, IncidentRow.source_id == source_id, text(OPEN)
    )
    return (await session.execute(select(func.count()).select_from(query.limit(most).subquery()))).scalar_one()


async def lock_incidents(session: TenantSession, *, ids: Sequence[UUID]) -> Sequence[IncidentRow]:
    """This will lock the incidents and return them as they are now."""
    query = (
        select(IncidentRow)
        .where(IncidentRow.tenant_id == session.tenant_id, IncidentRow.id == any_(literal(list(ids), ARRAY(Uuid))))
        .order_by(IncidentRow.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def load_alerts(session: TenantSession, *, ids: Sequence[UUID]) -> Sequence[AlertRow]:
    """This will read episodes whose heads are locked already, which is what keeps them still."""
    query = (
        select(AlertRow)
        .where(AlertRow.tenant_id == session.tenant_id, AlertRow.id == any_(literal(list(ids), ARRAY(Uuid))))
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def find_repeated(session: TenantSession, *, origins: Sequence[str]) -> set[tuple[str, str]]:
    """This will say which words of locked keys' senders are on a timeline already: (origin, kind of line)."""
    if not origins:
        return set()
    query = select(TimelineRow.origin, TimelineRow.kind).where(
        TimelineRow.tenant_id == session.tenant_id, TimelineRow.origin == any_(literal(list(origins), ARRAY(Text)))
    )
    return {(origin, kind) for origin, kind in (await session.execute(query)).all() if origin is not None}


async def count_open_alerts(session: TenantSession, *, incident_ids: Sequence[UUID]) -> list[tuple[UUID, str, int]]:
    """This will count the firing alerts of locked incidents by severity: (incident, severity, count)."""
    query = (
        select(AlertRow.incident_id, AlertRow.severity, func.count())
        .where(
            AlertRow.tenant_id == session.tenant_id,
            AlertRow.incident_id == any_(literal(list(incident_ids), ARRAY(Uuid))),
            text(FIRING),
        )
        .group_by(AlertRow.incident_id, AlertRow.severity)
    )
    return [(row[0], row[1], row[2]) for row in (await session.execute(query)).all()]


async def take_numbers(session: TenantSession, *, count: int) -> int:
    """This will reserve ``count`` incident numbers and return the first; the counter stays locked until the end."""
    values = {"tenant_id": session.tenant_id, "count": count}
    last: int = (await session.execute(_TAKE_NUMBERS, values)).scalar_one()
    return last - count + 1
