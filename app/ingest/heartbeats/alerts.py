"""A heartbeat's alert. Each change of it is a delivery of its source, so that receipts and replays know it."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import datetime
from uuid import UUID

import orjson

from app.core.ids import DeliveryId, new_id
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AlertStatus, AppliedAlert, Severity
from app.incidents.service import apply_alerts
from app.ingest.heartbeats.models import HeartbeatRow
from app.ingest.heartbeats.rules import spoken
from app.ingest.models import DeliveryRow, SourceRow
from app.ingest.rules.requests import sequence_of
from app.ingest.schemas import DeliveryState
from app.ingest.service import source_facts


async def raise_alert(
    session: TenantSession, row: HeartbeatRow, source: SourceRow, *, server_now: datetime, now: datetime
) -> None:
    """This will open the heartbeat's alert, dated from its deadline or from the failure that its sender reported."""
    row.alerted_at = row.alerted_at or server_now
    since = row.failed_at or row.deadline_at or server_now
    told = f"It reports every {spoken(row.interval_s)}"
    told += f", with {spoken(row.grace_s)} of grace." if row.grace_s else "."
    last = f"The last beat came at {row.last_beat_at:%Y-%m-%d %H:%M:%S} UTC." if row.last_beat_at else ""
    event = AlertEvent(
        dedup_key=dedup_key(row),
        status=AlertStatus.FIRING,
        title=f"{row.name} reported a failure" if row.failed_at else f"No heartbeat from {row.name}",
        description=f"{told} {last}".strip(),
        severity=Severity(row.severity),
        event_time=since,
        starts_at=since,
        labels={"heartbeat": row.name},
        group={"heartbeat": row.name},
    )
    await _apply(session, row, source, event, said="failed" if row.failed_at else "missed", at=server_now, now=now)


async def end_alert(
    session: TenantSession, row: HeartbeatRow, source: SourceRow, *, at: datetime, because: str, now: datetime
) -> None:
    """This will resolve the heartbeat's alert, if one is open.

    Args:
        session: A tenant transaction.
        row: The heartbeat, locked.
        source: Its source.
        at: When it was over, by the database's clock.
        because: Why, for the alert's description.
        now: Stamped on rows.
    """
    if row.alerted_at is None:
        return
    row.alerted_at = None
    event = AlertEvent(
        dedup_key=dedup_key(row),
        status=AlertStatus.RESOLVED,
        title=f"No heartbeat from {row.name}",
        description=f"Over: {because}.",
        severity=Severity(row.severity),
        event_time=at,
        ends_at=at,
        labels={"heartbeat": row.name},
        group={"heartbeat": row.name},
    )
    await _apply(session, row, source, event, said="over", at=at, now=now)


def dedup_key(row: HeartbeatRow) -> str:
    """This will return the key of the heartbeat's alert among those of its source."""
    return f"heartbeat:{row.name}"


async def _apply(
    session: TenantSession,
    row: HeartbeatRow,
    source: SourceRow,
    event: AlertEvent,
    *,
    said: str,
    at: datetime,
    now: datetime,
) -> None:
    delivery_id = new_id()
    # It is said once and holds until it is over, however long the source's own alerts may stay silent.
    facts = dataclasses.replace(source_facts(source), resolve_timeout_s=None)
    (applied,) = await apply_alerts(
        session,
        source=facts,
        delivery_id=DeliveryId(delivery_id),
        received_at=at,
        seq=sequence_of(delivery_id),
        events=[event],
        now=now,
    )
    session.add(_delivery(row, source, delivery_id, event, applied, said=said, at=at, now=now))


def _delivery(
    row: HeartbeatRow,
    source: SourceRow,
    delivery_id: UUID,
    event: AlertEvent,
    applied: AppliedAlert,
    *,
    said: str,
    at: datetime,
    now: datetime,
) -> DeliveryRow:
    """The row by which the change can be followed, as if the heartbeat had sent it."""
    body = orjson.dumps({"heartbeat": row.name, "is": said, "at": at, "beats": row.beats})
    digest = hashlib.sha256(body).digest()
    incidents = [str(applied.incident_id)] if applied.incident_id is not None else []
    shown = {
        "dedup_key": event.dedup_key,
        "status": event.status.value,
        "outcome": applied.outcome.value,
        "reason": applied.reason,
        "alert_id": str(applied.alert_id) if applied.alert_id is not None else None,
        "incident_id": incidents[0] if incidents else None,
    }
    return DeliveryRow(
        tenant_id=row.tenant_id,
        id=delivery_id,
        source_id=source.id,
        received_at=at,
        shard=0,
        state=DeliveryState.PROCESSED.value,
        replay_key=b"heartbeat:" + digest,
        body_sha256=digest,
        headers={},
        body=body,
        size_bytes=len(body),
        result={"outcomes": {applied.outcome.value: 1}, "alerts": [shown], "incidents": incidents, "warnings": []},
        processed_at=now,
    )
