"""Locking and loading the world that a batch touches, and storing what the rules changed about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.breath import breathe
from app.db.tenancy import TenantSession
from app.incidents.models import AlertHeadRow, AlertRow, IncidentRow
from app.incidents.repository import locking, writing
from app.incidents.rules.flood import FLOOD_GROUP, TENANT_FLOOD, Room, StormRule, group_owner
from app.incidents.rules.states import AlertStatus, IncidentState, Severity
from app.incidents.rules.storm import Storm
from app.incidents.rules.world import Alert, Head, Incident, World
from app.incidents.schemas import SourceFacts
from app.incidents.service.storms import load_storms, raging, room_of, store_storms, survey


async def load_world(
    session: TenantSession,
    *,
    source_id: UUID,
    keys: Iterable[str],
    group_keys: Iterable[str],
    now: datetime,
    origins: Iterable[str] = (),
    storm: StormRule | None = None,
) -> World:
    """This will lock the keys, the groups and their incidents, in that order, and return their state.

    Args:
        session: The tenant transaction.
        source_id: Whose keys and groups these are.
        keys: Dedup keys that are spoken of.
        group_keys: Groups that may get an incident.
        now: Stamped on what is made.
        origins: Words of the sender that timelines repeat, once each.
        storm: What counts as a flood of the source; needed where groups may get an incident.
    """
    head_rows = await locking.lock_heads(session, source_id=source_id, keys=sorted(set(keys)), now=now)
    alert_ids = [row.alert_id for row in head_rows if row.alert_id]
    alert_rows = await locking.load_alerts(session, ids=alert_ids) if alert_ids else []
    await breathe()
    alerts = {row.id: _to_alert(row) for row in alert_rows}
    await breathe()
    locked = await _lock_groups(session, source_id, sorted(set(group_keys)), storm or StormRule(), now)
    incident_ids = {alert.incident_id for alert in alerts.values()}
    incident_ids |= {incident_id for incident_id in (*locked.groups.values(), *locked.storms) if incident_id}
    incidents, storms = await _load_incidents(session, sorted(incident_ids))
    return World(
        heads={row.dedup_key: _to_head(row, alerts) for row in head_rows},
        groups=locked.groups,
        incidents=incidents,
        room=locked.room,
        storms=storms,
        raging=locked.raging,
        now=now,
        repeated=await locking.find_repeated(session, origins=sorted({origin for origin in origins if origin})),
    )


@dataclass(frozen=True)
class _Locked:
    """Groups that are locked, with their newest incident, what may still be opened, and the incidents of storms."""

    groups: dict[str, UUID | None] = field(default_factory=dict)
    room: Room = field(default_factory=Room)
    raging: frozenset[str] = frozenset()
    storms: tuple[UUID | None, ...] = ()


async def _lock_groups(
    session: TenantSession, source_id: UUID, keys: Sequence[str], rule: StormRule, now: datetime
) -> _Locked:
    """Lock the groups, and those of the floods where they may be needed: whoever holds them decides alone what floods."""
    if not keys:
        return _Locked()
    found = await survey(session, source_id=source_id, rule=rule, now=now)
    room, rages = room_of(found, rule), raging(found)
    of_source = FLOOD_GROUP in rages or room.source < len(keys)
    of_tenant = TENANT_FLOOD in rages or room.tenant < len(keys)
    wanted = sorted({*keys, FLOOD_GROUP}) if of_source else keys
    rows = list(await locking.lock_groups(session, owner_id=source_id, keys=wanted, now=now))
    if of_tenant:
        # All sources share it, so it is locked after any source's own.
        rows += await locking.lock_groups(session, owner_id=session.tenant_id, keys=[TENANT_FLOOD], now=now)
    if of_source or of_tenant:
        # What was seen before the wait for the lock is what the others have used up meanwhile.
        found = await survey(session, source_id=source_id, rule=rule, now=now)
        room, rages = room_of(found, rule), raging(found)
    storms = (found.source_storm, found.tenant_storm)
    return _Locked({row.group_key: row.incident_id for row in rows}, room, rages, storms)


async def _load_incidents(
    session: TenantSession, ids: Sequence[UUID]
) -> tuple[dict[UUID, Incident], dict[UUID, Storm]]:
    if not ids:
        return {}, {}
    incidents = {row.id: _to_incident(row) for row in await locking.lock_incidents(session, ids=ids)}
    storms = await load_storms(session, incidents.values())
    counted = [incident_id for incident_id in ids if incident_id not in storms]
    if counted:
        for incident_id, severity, count in await locking.count_open_alerts(session, incident_ids=counted):
            incidents[incident_id].open_alerts[Severity(severity)] = count
    return incidents, storms


async def store_world(
    session: TenantSession,
    world: World,
    *,
    source: SourceFacts | None,
    source_id: UUID,
    deliveries: Mapping[str, UUID],
    now: datetime,
) -> None:
    """This will write every change of the world.

    Args:
        session: The tenant transaction that holds the locks.
        world: What the rules made of it.
        source: Needed where new incidents may have been opened.
        source_id: Whose keys these are.
        deliveries: The newest delivery of each key that one spoke of.
        now: Stamped on what changed.
    """
    changed = [incident for incident in world.incidents.values() if incident.is_changed]
    opened = [incident for incident in changed if incident.is_new]
    if opened and source is not None:
        first = await locking.take_numbers(session, count=len(opened))
        for number, incident in enumerate(opened, start=first):
            incident.number = number
        await writing.insert_incidents(session, [_incident_row(incident, source, now) for incident in opened])
    # Episodes end before others begin: one open episode of a key is a constraint at every statement.
    await writing.update_alerts(session, [_alert_changes(alert, deliveries) for alert in world.alerts_to_update()])
    await breathe()
    new_alerts = [_alert_row(alert, source_id, deliveries) for alert in world.new_alerts]
    await writing.insert_alerts(session, new_alerts)
    await breathe()
    heads = [_head_row(head) for head in world.heads.values() if head.is_changed]
    await writing.update_heads(session, source_id=source_id, rows=heads, now=now)
    for owner in (source_id, session.tenant_id):
        groups = [
            {"group_key": key, "incident_id": world.groups[key]}
            for key in sorted(world.changed_groups)
            if group_owner(key, source_id=source_id, tenant_id=session.tenant_id) == owner
        ]
        await writing.update_groups(session, owner_id=owner, rows=groups, now=now)
    await writing.update_incidents(session, [_incident_changes(i, now) for i in changed if not i.is_new])
    await store_storms(session, world, source_id=source_id)


def _to_head(row: AlertHeadRow, alerts: Mapping[UUID, Alert]) -> Head:
    order = None
    if row.event_at is not None and row.event_seq is not None and row.event_index is not None:
        order = (row.event_at, row.event_seq, row.event_index)
    return Head(
        key=row.dedup_key,
        order=order,
        status=AlertStatus(row.status) if row.status else None,
        alert=alerts[row.alert_id] if row.alert_id else None,
    )


def _to_alert(row: AlertRow) -> Alert:
    return Alert(
        id=row.id,
        key=row.dedup_key,
        incident_id=row.incident_id,
        status=AlertStatus(row.status),
        severity=Severity(row.severity),
        raw_severity=row.raw_severity,
        title=row.title,
        name=row.name,
        description=row.description,
        labels=row.labels,
        annotations=row.annotations,
        links=tuple(row.links),
        warnings=tuple(row.warnings),
        ticket=row.ticket,
        started_at=row.started_at,
        last_event_at=row.last_event_at,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        resolved_at=row.resolved_at,
        resolve_reason=row.resolve_reason,
        count=row.count,
        late_count=row.late_count,
        ticket_announced=row.ticket_announced,
        last_delivery_id=row.last_delivery_id,
    )


def _to_incident(row: IncidentRow) -> Incident:
    return Incident(
        id=row.id,
        state=IncidentState(row.state),
        severity=Severity(row.severity),
        title=row.title,
        group_key=row.group_key,
        group_labels=row.group_labels,
        labels=row.labels,
        started_at=row.started_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        open_alerts=Counter(),
        alert_name=row.alert_name,
        ticket=row.ticket,
        number=row.number,
    )


def _head_row(head: Head) -> dict[str, Any]:
    at, seq, index = head.order or (None, None, None)
    return {
        "dedup_key": head.key,
        "status": head.status,
        "event_at": at,
        "event_seq": seq,
        "event_index": index,
        "alert_id": head.alert.id if head.alert else None,
    }


def _alert_changes(alert: Alert, deliveries: Mapping[str, UUID]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "status": alert.status,
        "severity": alert.severity,
        "raw_severity": alert.raw_severity,
        "title": alert.title,
        "name": alert.name,
        "description": alert.description,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "links": alert.links,
        "warnings": alert.warnings,
        "ticket": alert.ticket,
        "last_event_at": alert.last_event_at,
        "last_seen_at": alert.last_seen_at,
        "expires_at": alert.expires_at if alert.is_firing else None,
        "resolved_at": alert.resolved_at,
        "resolve_reason": alert.resolve_reason,
        "count": alert.count,
        "late_count": alert.late_count,
        "ticket_announced": alert.ticket_announced,
        "last_delivery_id": deliveries.get(alert.key, alert.last_delivery_id),
    }


def _alert_row(alert: Alert, source_id: UUID, deliveries: Mapping[str, UUID]) -> dict[str, Any]:
    return _alert_changes(alert, deliveries) | {
        "incident_id": alert.incident_id,
        "source_id": source_id,
        "dedup_key": alert.key,
        "started_at": alert.started_at,
        "first_seen_at": alert.first_seen_at,
        "first_delivery_id": deliveries.get(alert.key),
    }


def _incident_changes(incident: Incident, now: datetime) -> dict[str, Any]:
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity,
        "updated_at": now,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by,
        "resolved_at": incident.resolved_at,
        "resolved_by": incident.resolved_by,
    }


def _incident_row(incident: Incident, source: SourceFacts, now: datetime) -> dict[str, Any]:
    return _incident_changes(incident, now) | {
        "number": incident.number,
        "source_id": source.id,
        "source_kind": source.kind,
        "source_name": source.name,
        "group_key": incident.group_key,
        "group_labels": incident.group_labels,
        "labels": incident.labels,
        "alert_name": incident.alert_name,
        "title": incident.title,
        "ticket": incident.ticket,
        "started_at": incident.started_at,
        "created_at": now,
    }
