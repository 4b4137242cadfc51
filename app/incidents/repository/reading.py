"""Reading incidents, alerts and timelines, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, Uuid, any_, func, literal, select, text

from app.db.paging import newest_first
from app.db.tenancy import TenantSession
from app.incidents.models import FIRING, AlertHeadRow, AlertRow, IncidentRow, TimelineRow
from app.incidents.rules.states import AlertStatus, IncidentState, Severity

_Row = TypeVar("_Row", AlertRow, IncidentRow)
# The conditions of partial indexes (FIRING) are written out below: a generic plan could not match a parameter to them.


@dataclass(frozen=True, kw_only=True)
class IncidentFilter:
    """Which incidents; None and empty mean "any".

    Attributes:
        since: Opened at or after.
        until: Opened before.
        title_contains: Matched within the title, without regard to case.
    """

    states: tuple[IncidentState, ...] = ()
    severities: tuple[Severity, ...] = ()
    source_id: UUID | None = None
    assignee: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    title_contains: str | None = None


@dataclass(frozen=True, kw_only=True)
class AlertFilter:
    """Which alerts; None and empty mean "any"."""

    statuses: tuple[AlertStatus, ...] = ()
    severities: tuple[Severity, ...] = ()
    source_id: UUID | None = None
    incident_id: UUID | None = None
    dedup_key: str | None = None


async def find_incident(session: TenantSession, *, incident_id: UUID) -> IncidentRow | None:
    """This will return the incident, or None."""
    query = select(IncidentRow).where(IncidentRow.tenant_id == session.tenant_id, IncidentRow.id == incident_id)
    return await _one(session, query)


async def find_numbered(session: TenantSession, *, number: int) -> IncidentRow | None:
    """This will return the incident with the number that people use, or None."""
    query = select(IncidentRow).where(IncidentRow.tenant_id == session.tenant_id, IncidentRow.number == number)
    return await _one(session, query)


async def find_incidents(session: TenantSession, *, ids: Sequence[UUID]) -> Sequence[IncidentRow]:
    """This will return those of the incidents that there are, oldest first."""
    query = select(IncidentRow).where(
        IncidentRow.tenant_id == session.tenant_id, IncidentRow.id == any_(literal(list(ids), ARRAY(Uuid)))
    )
    return await _all(session, query.order_by(IncidentRow.id))


async def list_incidents(
    session: TenantSession, *, wanted: IncidentFilter, before: UUID | None, limit: int
) -> Sequence[IncidentRow]:
    """This will return up to ``limit`` incidents, newest first, older than the id ``before``."""
    query = select(IncidentRow).where(IncidentRow.tenant_id == session.tenant_id)
    query = _among(query, IncidentRow.state, [state.value for state in wanted.states])
    query = _among(query, IncidentRow.severity, [severity.value for severity in wanted.severities])
    if wanted.source_id is not None:
        query = query.where(IncidentRow.source_id == wanted.source_id)
    if wanted.assignee is not None:
        query = query.where(IncidentRow.assignee == wanted.assignee)
    if wanted.since is not None:
        query = query.where(IncidentRow.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(IncidentRow.created_at < wanted.until)
    if wanted.title_contains is not None:
        # A position, not a pattern: nothing in the text has a meaning to the database.
        query = query.where(func.strpos(func.lower(IncidentRow.title), func.lower(wanted.title_contains)) > 0)
    return await _all(session, newest_first(query, IncidentRow.id, before=before, limit=limit))


async def find_alert(session: TenantSession, *, alert_id: UUID) -> AlertRow | None:
    """This will return the alert, or None."""
    query = select(AlertRow).where(AlertRow.tenant_id == session.tenant_id, AlertRow.id == alert_id)
    return await _one(session, query)


async def find_alert_of_key(session: TenantSession, *, source_id: UUID, dedup_key: str) -> AlertRow | None:
    """This will return the newest episode of the key, as it is stored, or None."""
    query = (
        select(AlertRow)
        .join(AlertHeadRow, (AlertHeadRow.tenant_id == AlertRow.tenant_id) & (AlertHeadRow.alert_id == AlertRow.id))
        .where(
            AlertHeadRow.tenant_id == session.tenant_id,
            AlertHeadRow.source_id == source_id,
            AlertHeadRow.dedup_key == dedup_key,
        )
    )
    return await _one(session, query)


async def find_alert_of_number(session: TenantSession, *, source_id: UUID, number: int) -> AlertRow | None:
    """This will return the first alert of the source's incident with this number, or None."""
    query = (
        select(AlertRow)
        .join(IncidentRow, (IncidentRow.tenant_id == AlertRow.tenant_id) & (IncidentRow.id == AlertRow.incident_id))
        .where(
            IncidentRow.tenant_id == session.tenant_id,
            IncidentRow.number == number,
            IncidentRow.source_id == source_id,
            AlertRow.source_id == source_id,
        )
        .order_by(AlertRow.id)
        .limit(1)
    )
    return await _one(session, query)


async def find_alerts(session: TenantSession, *, ids: Sequence[UUID]) -> Sequence[AlertRow]:
    """This will return those of the alerts that there are, oldest first."""
    query = select(AlertRow).where(
        AlertRow.tenant_id == session.tenant_id, AlertRow.id == any_(literal(list(ids), ARRAY(Uuid)))
    )
    return await _all(session, query.order_by(AlertRow.id))


async def list_alerts(
    session: TenantSession, *, wanted: AlertFilter, before: UUID | None, limit: int
) -> Sequence[AlertRow]:
    """This will return up to ``limit`` alerts, newest first, older than the id ``before``."""
    query = select(AlertRow).where(AlertRow.tenant_id == session.tenant_id)
    query = _among(query, AlertRow.status, [status.value for status in wanted.statuses])
    query = _among(query, AlertRow.severity, [severity.value for severity in wanted.severities])
    if wanted.source_id is not None:
        query = query.where(AlertRow.source_id == wanted.source_id)
    if wanted.incident_id is not None:
        query = query.where(AlertRow.incident_id == wanted.incident_id)
    if wanted.dedup_key is not None:
        query = query.where(AlertRow.dedup_key == wanted.dedup_key)
    return await _all(session, newest_first(query, AlertRow.id, before=before, limit=limit))


async def list_timeline(
    session: TenantSession, *, incident_id: UUID, after: UUID | None, limit: int
) -> Sequence[TimelineRow]:
    """This will return up to ``limit`` entries, oldest first, newer than the id ``after``."""
    query = select(TimelineRow).where(
        TimelineRow.tenant_id == session.tenant_id, TimelineRow.incident_id == incident_id
    )
    if after is not None:
        query = query.where(TimelineRow.id > after)
    return (await session.scalars(query.order_by(TimelineRow.id).limit(limit))).all()


async def list_latest_entries(
    session: TenantSession, *, incident_id: UUID, kinds: Sequence[str], limit: int
) -> Sequence[TimelineRow]:
    """This will return up to ``limit`` entries of these kinds, newest first."""
    query = select(TimelineRow).where(
        TimelineRow.tenant_id == session.tenant_id, TimelineRow.incident_id == incident_id
    )
    query = _among(query, TimelineRow.kind, kinds)
    return (await session.scalars(newest_first(query, TimelineRow.id, before=None, limit=limit))).all()


async def list_alert_statuses(session: TenantSession, *, incident_id: UUID, name: str | None) -> Sequence[str]:
    """This will return the statuses of the incident's alerts, or of those called ``name``."""
    query = select(AlertRow.status).where(AlertRow.tenant_id == session.tenant_id, AlertRow.incident_id == incident_id)
    if name is not None:
        query = query.where(AlertRow.name == name)
    return (await session.scalars(query.distinct())).all()


async def find_group_of(session: TenantSession, *, incident_id: UUID) -> tuple[UUID, str] | None:
    """This will return the incident's source and group key, or None where there is no such incident."""
    query = select(IncidentRow.source_id, IncidentRow.group_key).where(
        IncidentRow.tenant_id == session.tenant_id, IncidentRow.id == incident_id
    )
    row = (await session.execute(query)).one_or_none()
    return (row[0], row[1]) if row else None


async def list_expired_keys(session: TenantSession, *, source_id: UUID, now: datetime, limit: int) -> Sequence[str]:
    """This will return dedup keys of firing alerts past their time-out, longest overdue first; nothing is locked."""
    query = (
        select(AlertRow.dedup_key)
        .where(
            AlertRow.tenant_id == session.tenant_id,
            AlertRow.source_id == source_id,
            text(FIRING),
            AlertRow.expires_at <= now,
        )
        .order_by(AlertRow.expires_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def find_next_expiry(session: TenantSession, *, source_id: UUID) -> datetime | None:
    """This will return when the next firing alert of the source times out, or None where none does."""
    query = (
        select(AlertRow.expires_at)
        .where(
            AlertRow.tenant_id == session.tenant_id,
            AlertRow.source_id == source_id,
            text(FIRING),
            AlertRow.expires_at.is_not(None),
        )
        .order_by(AlertRow.expires_at)
        .limit(1)
    )
    return (await session.scalars(query)).one_or_none()


def _among(query: Select[Any], column: Any, values: Sequence[str]) -> Select[Any]:
    return query.where(column == any_(literal(list(values), ARRAY(Text)))) if values else query


# Batches write by plain SQL, so a row that the session has seen before may be old: both read it anew.
async def _one(session: TenantSession, query: Select[_Row]) -> _Row | None:
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def _all(session: TenantSession, query: Select[_Row]) -> Sequence[_Row]:
    return (await session.scalars(query.execution_options(populate_existing=True))).all()
