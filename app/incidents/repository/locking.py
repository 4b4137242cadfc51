"""Taking the locks for a batch, always in this order: dedup keys, groups, incidents, the number counter.

Each kind is locked by one statement, in key order, so two batches can wait for each other but never in a circle.
Rows are read again after their lock was granted: a join in the locking statement would show what they were before the
wait. Locks are ``no key update``, so that a timeline entry or a run that refers to an incident is not held up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, TextClause, Uuid, any_, func, literal, select, text

from app.db.tenancy import TenantSession
from app.incidents.models import FIRING, AlertHeadRow, AlertRow, IncidentGroupRow, IncidentRow, TimelineRow

_Row = TypeVar("_Row", AlertHeadRow, IncidentGroupRow, IncidentRow)


def _ensure(table: str, key: str) -> TextClause:
    return text(
        f"insert into {table} (tenant_id, source_id, {key}, touched_at)"  # noqa: S608 - constants below
        f" select :tenant_id, :owner_id, k.key, :now from unnest(cast(:keys as text[])) as k(key)"
        f" where not exists (select 1 from {table} h where h.tenant_id = :tenant_id and h.source_id = :owner_id"
        f" and h.{key} = k.key) order by k.key on conflict do nothing"
    )


_ENSURE_HEADS = _ensure("alert_heads", "dedup_key")
_ENSURE_GROUPS = _ensure("incident_groups", "group_key")
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
    await session.execute(_ENSURE_HEADS, _values(session, source_id, keys, now))
    query = select(AlertHeadRow).where(
        AlertHeadRow.tenant_id == session.tenant_id,
        AlertHeadRow.source_id == source_id,
        AlertHeadRow.dedup_key == any_(literal(list(keys), ARRAY(Text))),
    )
    return await _lock(session, query.order_by(AlertHeadRow.dedup_key))


async def lock_groups(
    session: TenantSession, *, owner_id: UUID, keys: Sequence[str], now: datetime
) -> Sequence[IncidentGroupRow]:
    """This will lock each group, making those that do not exist yet, as ``lock_heads`` does.

    Args:
        session: The tenant transaction.
        owner_id: Of the source whose groups they are, or of the tenant (``flood.group_owner``).
        keys: Group keys.
        now: Stamped on what is made.
    """
    await session.execute(_ENSURE_GROUPS, _values(session, owner_id, keys, now))
    query = select(IncidentGroupRow).where(
        IncidentGroupRow.tenant_id == session.tenant_id,
        IncidentGroupRow.source_id == owner_id,
        IncidentGroupRow.group_key == any_(literal(list(keys), ARRAY(Text))),
    )
    return await _lock(session, query.order_by(IncidentGroupRow.group_key))


async def lock_incidents(session: TenantSession, *, ids: Sequence[UUID]) -> Sequence[IncidentRow]:
    """This will lock the incidents and return them as they are now."""
    query = select(IncidentRow).where(
        IncidentRow.tenant_id == session.tenant_id, IncidentRow.id == any_(literal(list(ids), ARRAY(Uuid)))
    )
    return await _lock(session, query.order_by(IncidentRow.id))


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


def _values(session: TenantSession, owner_id: UUID, keys: Sequence[str], now: datetime) -> dict[str, object]:
    return {"tenant_id": session.tenant_id, "owner_id": owner_id, "keys": list(keys), "now": now}


async def _lock(session: TenantSession, query: Select[_Row]) -> Sequence[_Row]:
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.scalars(locked)).all()
