"""Small valid alert events and sources; a test names what differs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.core.ids import DeliveryId, SourceId, new_id
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AlertStatus, AppliedAlert, IncidentView, SourceFacts
from app.incidents.service import apply_alerts, get_incident


def make_source(**changes: Any) -> SourceFacts:
    """This will return a source with a fresh id."""
    values: dict[str, Any] = {"id": SourceId(new_id()), "kind": "generic", "name": "probe"}
    return SourceFacts(**(values | changes))


def make_event(key: str = "disk-full", *, at: datetime | None = None, **changes: Any) -> AlertEvent:
    """This will return a firing with ``at`` as its event time."""
    values: dict[str, Any] = {
        "dedup_key": key,
        "status": AlertStatus.FIRING,
        "title": f"{key} on db-1",
        "event_time": at,
        "labels": {"alertname": key, "host": "db-1"},
    }
    return AlertEvent(**(values | changes))


def make_resolve(key: str = "disk-full", *, at: datetime | None = None, **changes: Any) -> AlertEvent:
    """This will return the resolve of ``make_event``'s alert."""
    return make_event(key, at=at, status=AlertStatus.RESOLVED, **changes)


async def deliver(
    session: TenantSession,
    source: SourceFacts,
    *events: AlertEvent,
    now: datetime,
    seq: int = 1,
    received_at: datetime | None = None,
    delivery_id: DeliveryId | None = None,
) -> list[AppliedAlert]:
    """This will apply the events as one delivery, received now unless told otherwise."""
    return await apply_alerts(
        session,
        source=source,
        delivery_id=delivery_id or DeliveryId(new_id()),
        received_at=received_at or now,
        seq=seq,
        events=events,
        now=now,
    )


async def open_incident(
    session: TenantSession, *, now: datetime, source: SourceFacts | None = None, **changes: Any
) -> IncidentView:
    """This will open an incident by one firing and return it."""
    event = make_event(**({"at": now} | changes))
    return await incident_of(session, await deliver(session, source or make_source(), event, now=now))


async def incident_of(session: TenantSession, applied: Sequence[AppliedAlert]) -> IncidentView:
    """This will return the one incident that the applied events belong to."""
    (incident_id,) = {result.incident_id for result in applied}
    assert incident_id is not None
    return await get_incident(session, incident_id=incident_id)
