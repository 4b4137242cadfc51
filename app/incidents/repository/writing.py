"""Storing what a batch decided: one statement for each table, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text

from app.db.tenancy import TenantSession

_ALERT_UPDATES = {
    "status": "text",
    "severity": "text",
    "raw_severity": "text",
    "title": "text",
    "name": "text",
    "description": "text",
    "labels": "jsonb",
    "annotations": "jsonb",
    "links": "jsonb",
    "warnings": "jsonb",
    "ticket": "jsonb",
    "last_event_at": "timestamptz",
    "last_seen_at": "timestamptz",
    "expires_at": "timestamptz",
    "resolved_at": "timestamptz",
    "resolve_reason": "text",
    "count": "bigint",
    "late_count": "bigint",
    "ticket_announced": "boolean",
    "last_delivery_id": "uuid",
}
_ALERT_INSERTS = _ALERT_UPDATES | {
    "id": "uuid",
    "incident_id": "uuid",
    "source_id": "uuid",
    "dedup_key": "text",
    "started_at": "timestamptz",
    "first_seen_at": "timestamptz",
    "first_delivery_id": "uuid",
}
_INCIDENT_UPDATES = {
    "state": "text",
    "severity": "text",
    "updated_at": "timestamptz",
    "acknowledged_at": "timestamptz",
    "acknowledged_by": "text",
    "resolved_at": "timestamptz",
    "resolved_by": "text",
}
_INCIDENT_INSERTS = _INCIDENT_UPDATES | {
    "id": "uuid",
    "number": "bigint",
    "source_id": "uuid",
    "source_kind": "text",
    "source_name": "text",
    "group_key": "text",
    "group_labels": "jsonb",
    "labels": "jsonb",
    "alert_name": "text",
    "title": "text",
    "ticket": "jsonb",
    "started_at": "timestamptz",
    "created_at": "timestamptz",
}
_TIMELINE = {
    "id": "uuid",
    "incident_id": "uuid",
    "at": "timestamptz",
    "actor_kind": "text",
    "actor_id": "text",
    "actor_name": "text",
    "kind": "text",
    "summary": "text",
    "reason": "text",
    "data": "jsonb",
    "origin": "text",
}


def _recordset(columns: Mapping[str, str]) -> str:
    fields = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"jsonb_to_recordset(cast(:rows as jsonb)) as r({fields})"


def _insert(table: str, columns: Mapping[str, str]) -> TextClause:
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f'r."{name}"' for name in columns)
    return text(
        f"insert into {table} (tenant_id, {names}) select :tenant_id, {values}"  # noqa: S608 - constants above
        f" from {_recordset(columns)}"
    )


def _update(table: str, columns: Mapping[str, str]) -> TextClause:
    changes = ", ".join(f'"{name}" = r."{name}"' for name in columns)
    return text(
        f"update {table} t set {changes} from {_recordset({'id': 'uuid', **columns})}"  # noqa: S608 - constants above
        " where t.tenant_id = :tenant_id and t.id = r.id"
    )


_INSERT_ALERTS = _insert("alerts", _ALERT_INSERTS)
_UPDATE_ALERTS = _update("alerts", _ALERT_UPDATES)
_INSERT_INCIDENTS = _insert("incidents", _INCIDENT_INSERTS)
_UPDATE_INCIDENTS = _update("incidents", _INCIDENT_UPDATES)
_INSERT_TIMELINE = _insert("timeline_entries", _TIMELINE)
_UPDATE_HEADS = text(
    "update alert_heads t set status = r.status, event_at = r.event_at, event_seq = r.event_seq,"
    " event_index = r.event_index, alert_id = r.alert_id, touched_at = :now"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as r(dedup_key text, status text, event_at timestamptz,"
    " event_seq bigint, event_index integer, alert_id uuid)"
    " where t.tenant_id = :tenant_id and t.source_id = :source_id and t.dedup_key = r.dedup_key"
)
_UPDATE_GROUPS = text(
    "update incident_groups t set incident_id = r.incident_id, touched_at = :now"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as r(group_key text, incident_id uuid)"
    " where t.tenant_id = :tenant_id and t.source_id = :owner_id and t.group_key = r.group_key"
)


async def insert_alerts(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will insert episodes."""
    await _write(session, _INSERT_ALERTS, rows)


async def update_alerts(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will overwrite what can change about episodes whose heads are locked."""
    await _write(session, _UPDATE_ALERTS, rows)


async def insert_incidents(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will insert incidents."""
    await _write(session, _INSERT_INCIDENTS, rows)


async def update_incidents(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will overwrite what can change about locked incidents."""
    await _write(session, _UPDATE_INCIDENTS, rows)


async def insert_timeline(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will append to timelines."""
    await _write(session, _INSERT_TIMELINE, rows)


async def update_heads(
    session: TenantSession, *, source_id: UUID, rows: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """This will remember the newest signal and episode of locked keys."""
    await _write(session, _UPDATE_HEADS, rows, source_id=source_id, now=now)


async def update_groups(
    session: TenantSession, *, owner_id: UUID, rows: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """This will remember the newest incident of locked groups."""
    await _write(session, _UPDATE_GROUPS, rows, owner_id=owner_id, now=now)


async def _write(
    session: TenantSession, statement: TextClause, rows: Sequence[Mapping[str, Any]], **values: object
) -> None:
    if rows:
        # asyncpg hands out ids of its own subclass of UUID, which orjson does not take for one.
        payload = orjson.dumps(rows, default=_uuid_text).decode()
        await session.execute(statement, {"tenant_id": session.tenant_id, "rows": payload, **values})


def _uuid_text(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not stored as JSON")
