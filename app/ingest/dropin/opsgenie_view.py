"""What Opsgenie's Alert API shows: alerts and what became of requests, in its words.

Only what came through the source that is asked by is shown. Another source's alert, another tenant's and one that never
was are the same: not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from app.core.ids import AlertId, IncidentId, SourceId
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertOutcome, AlertStatus, AlertView, IncidentState, Severity
from app.incidents.service import AlertNotFound, get_alert, get_incident
from app.incidents.service.finding import find_alert_of_key, find_alert_of_number
from app.ingest.models import DeliveryRow
from app.ingest.repository.deliveries import find_delivery
from app.ingest.schemas import DeliveryState
from app.ingest.sources.opsgenie_api import ACTION_HEADER, KEY_HEADER

_PRIORITIES = {Severity.P0: "P1", Severity.P1: "P2", Severity.P2: "P3", Severity.P3: "P4"}
_OWN_LABELS = frozenset({"entity", "source", "tags"})
_NAMES = {"create": "Create", "acknowledge": "Acknowledge", "close": "Close", "notes": "AddNote"}
_DONE = {
    AlertOutcome.OPENED: "Created alert",
    AlertOutcome.REOPENED: "Created alert",
    AlertOutcome.BUMPED: "Deduplicated alert",
    AlertOutcome.ACKNOWLEDGED: "Acknowledged alert",
    AlertOutcome.RESOLVED: "Closed alert",
    AlertOutcome.NOTED: "Added note to alert",
}
_MISSING = "Alert does not exist"


@dataclass(frozen=True, kw_only=True)
class FoundAlert:
    """An alert of the source.

    Attributes:
        dedup_key: As stored; it stands for the alias.
    """

    view: AlertView

    @property
    def dedup_key(self) -> str:
        return self.view.dedup_key

    async def shown(self, session: TenantSession) -> dict[str, Any]:
        """This will return the alert as ``GET /v2/alerts/{identifier}`` shows it."""
        alert = self.view
        incident = await get_incident(session, incident_id=IncidentId(alert.incident_id))
        is_open = alert.status is AlertStatus.FIRING and incident.resolved_at is None
        tags = alert.labels.get("tags", "")
        return {
            "id": str(alert.id),
            "tinyId": str(incident.number),
            "alias": alert.dedup_key,
            "message": alert.title,
            "status": "open" if is_open else "closed",
            "acknowledged": incident.state is IncidentState.ACKNOWLEDGED,
            "isSeen": incident.acknowledged_at is not None,
            "tags": tags.split(", ") if tags else [],
            "snoozed": incident.state is IncidentState.SNOOZED,
            "count": alert.count,
            "lastOccurredAt": _time(alert.last_event_at),
            "createdAt": _time(alert.first_seen_at),
            "updatedAt": _time(alert.last_seen_at),
            "source": alert.labels.get("source", ""),
            "owner": incident.assignee or "",
            "priority": _PRIORITIES[alert.severity],
            "responders": [],
            "integration": {"id": str(alert.source_id), "name": incident.source_name, "type": "API"},
            "actions": [],
            "entity": alert.labels.get("entity", ""),
            "description": alert.description,
            "details": {name: value for name, value in alert.labels.items() if name not in _OWN_LABELS},
        }


async def find_alert(session: TenantSession, *, source_id: SourceId, identifier: str, kind: str) -> FoundAlert | None:
    """This will return the source's alert: by its id, its alias (the newest of that) or its incident's number."""
    if kind == "alias":
        found = await find_alert_of_key(session, source_id=source_id, dedup_key=identifier)
    elif kind == "tiny":
        number = int(identifier) if identifier.isascii() and identifier.isdigit() and len(identifier) < 19 else 0
        found = await find_alert_of_number(session, source_id=source_id, number=number)
    else:
        found = await _by_id(session, identifier)
        if found is None and (alias := await alias_of_request(session, source_id=source_id, request_id=identifier)):
            found = await find_alert_of_key(session, source_id=source_id, dedup_key=alias)
    return FoundAlert(view=found) if found is not None and found.source_id == source_id else None


async def _by_id(session: TenantSession, identifier: str) -> AlertView | None:
    try:
        return await get_alert(session, alert_id=AlertId(UUID(identifier)))
    except (ValueError, AlertNotFound):
        return None


async def alias_of_request(session: TenantSession, *, source_id: SourceId, request_id: str) -> str:
    """This will return the alias of the alert that a request of this source creates, processed or not.

    Opsgenie's ids of alerts begin with the id of the request that made them, and clients name alerts by the latter.
    """
    delivery = await _request(session, source_id=source_id, request_id=request_id)
    if delivery is None or delivery.headers.get(ACTION_HEADER) != "create":
        return ""
    return unquote(str(delivery.headers.get(KEY_HEADER, "")))


async def request_status(session: TenantSession, *, source_id: SourceId, request_id: str) -> dict[str, Any] | None:
    """This will say what became of a request; None while it waits, and for what is no request of this source."""
    delivery = await _request(session, source_id=source_id, request_id=request_id)
    if delivery is None or delivery.state == DeliveryState.ACCEPTED.value:
        return None
    alerts = (delivery.result or {}).get("alerts") or [{}]
    outcome, alert_id = alerts[0].get("outcome"), alerts[0].get("alert_id")
    status = _DONE.get(AlertOutcome(outcome)) if outcome else None
    # Said of what is there already or over: Opsgenie has such a request fail, with the reason as its status.
    reason = alerts[0].get("reason") or delivery.detail or _MISSING
    done = status is not None
    return {
        "success": done,
        "action": _NAMES.get(str(delivery.headers.get(ACTION_HEADER, "create")), "Create"),
        "processedAt": _time(delivery.processed_at),
        "integrationId": str(source_id),
        "isSuccess": done,
        "status": status or (reason if alert_id else _MISSING),
        "alertId": alert_id or "",
        "alias": alerts[0].get("dedup_key") or "",
    }


async def _request(session: TenantSession, *, source_id: SourceId, request_id: str) -> DeliveryRow | None:
    try:
        delivery = await find_delivery(session, delivery_id=UUID(request_id))
    except ValueError:
        return None
    return delivery if delivery is not None and delivery.source_id == source_id else None


def _time(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
