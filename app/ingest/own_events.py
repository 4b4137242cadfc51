"""What Tocsin itself has to say about something that a source stands for: a heartbeat missed, a check that failed.

It is kept as a delivery of the source, processed already, so that receipts, trials and the audit know where the alert
comes from, and applied as any sender's word is.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import orjson

from app.core.ids import DeliveryId, new_id
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AppliedAlert
from app.incidents.service import apply_alerts
from app.ingest.models import DeliveryRow, SourceRow
from app.ingest.rules.requests import sequence_of
from app.ingest.schemas import DeliveryState
from app.ingest.service import source_facts


async def say(
    session: TenantSession,
    source: SourceRow,
    event: AlertEvent,
    *,
    told: Mapping[str, object],
    at: datetime,
    now: datetime,
) -> None:
    """This will apply the event, in the caller's transaction.

    Args:
        session: A tenant transaction.
        source: In whose name.
        event: What became of the alert.
        told: The delivery's body; no two may be the same, so it names the thing and what makes this time another.
        at: When it is so, by the database's clock.
        now: Stamped on rows.
    """
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
    session.add(_delivery(session, source, delivery_id, event, applied, body=orjson.dumps(told), at=at, now=now))


def _delivery(
    session: TenantSession,
    source: SourceRow,
    delivery_id: UUID,
    event: AlertEvent,
    applied: AppliedAlert,
    *,
    body: bytes,
    at: datetime,
    now: datetime,
) -> DeliveryRow:
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
        tenant_id=session.tenant_id,
        id=delivery_id,
        source_id=source.id,
        received_at=at,
        shard=0,
        state=DeliveryState.PROCESSED.value,
        replay_key=b"own:" + digest,
        body_sha256=digest,
        headers={},
        body=body,
        size_bytes=len(body),
        result={"outcomes": {applied.outcome.value: 1}, "alerts": [shown], "incidents": incidents, "warnings": []},
        processed_at=now,
    )
