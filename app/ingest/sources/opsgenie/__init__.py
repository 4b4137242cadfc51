"""Opsgenie's outgoing webhooks (also of Jira Service Management): one POST for each action on an alert.

Source: support.atlassian.com, "Integrate Opsgenie with outgoing webhooks" and docs.opsgenie.com, "Alert action data", read
2026-11. ``action``, ``alert`` (``alertId``, ``tinyId``, ``alias``, ``message``, ``tags``, ``entity``, ``priority``,
``createdAt`` in milliseconds, ``updatedAt`` in nanoseconds, ``username``, ``note``, with a creation ``description`` and
``details`` where the integration sends them), ``source``. An action does not tell whether its alert is open, so only
those that need an open one open it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values
from app.ingest.rules.severities import P1_TO_P5

_ACTIONS = {
    "create": AlertStatus.FIRING,
    "unacknowledge": AlertStatus.FIRING,
    "updatepriority": AlertStatus.FIRING,
    "updatemessage": AlertStatus.FIRING,
    "updatedescription": AlertStatus.FIRING,
    "acknowledge": AlertStatus.ACKNOWLEDGED,
    "addnote": AlertStatus.NOTED,
    "close": AlertStatus.RESOLVED,
    "delete": AlertStatus.RESOLVED,
}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the alert's one event, none for actions that change nothing about it.

    Raises:
        ParseError: No JSON object, or no action or alert in it.
    """
    payload = load_object(body)
    alert = fields.object_at(payload, "alert")
    action = fields.text_at(payload, "action")
    alert_id = fields.text_of(alert.get("alertId"), limit=4096)
    if not action or not alert_id:
        raise ParseError("body.unexpected_shape", "no alert action: 'action' or 'alert.alertId' is missing")
    status = _ACTIONS.get(action.lower())
    if status is None:
        return Events(notes=[f"the action {action[:60]} changes nothing here"])
    at = fields.time_at(alert, "updatedAt", "createdAt")
    return [
        AlertEvent(
            dedup_key=f"alert:{alert_id}",
            status=status,
            title=fields.text_at(alert, "message", limit=values.TITLE_MAX) or f"Alert {alert_id[:60]}",
            description=fields.prose_at(alert, "description"),
            raw_severity=fields.text_at(alert, "priority"),
            event_time=at,
            starts_at=values.parse_time(alert.get("createdAt")),
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=_labels(payload, alert),
            note=_note(action.lower(), alert),
        )
    ]


def _labels(payload: Mapping[str, Any], alert: Mapping[str, Any]) -> dict[str, str]:
    """The alert's details by their names, so that alerts can be grouped by them; ours win."""
    own = {
        "entity": fields.text_at(alert, "entity"),
        "alias": fields.text_at(alert, "alias"),
        "source": fields.text_at(alert, "source"),
        "tiny_id": fields.text_at(alert, "tinyId"),
        "tags": ", ".join(fields.texts_at(alert, "tags"))[: values.LABEL_VALUE_MAX],
        "integration": fields.text_at(payload, "integrationName"),
    }
    return fields.said(values.clean_mapping(alert.get("details"))) | fields.said(own)


def _note(action: str, alert: Mapping[str, Any]) -> str:
    note = fields.prose_at(alert, "note")
    who = fields.text_at(alert, "username")
    if action == "addnote":
        return f"{who}: {note}" if who and note else note or "An empty note"
    if action == "acknowledge" and who:
        return f"Acknowledged in Opsgenie by {who}{f': {note}' if note else ''}"
    return note


SOURCE = AlertSource(
    slug="opsgenie",
    title="Opsgenie",
    profile="header_token",
    parse=parse,
    severities={**COMMON_SEVERITIES, **P1_TO_P5},
    example={
        "action": "Create",
        "alert": {"alertId": "1", "tinyId": "1", "message": "A first alert", "priority": "P4", "alias": "first"},
        "source": {"name": "web", "type": "API"},
    },
    document="https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/",
    document_date="2026-11",
    setup="Under Settings > Integrations add a Webhook with the address and a custom header X-Tocsin-Token with the secret, "
    "and tick that descriptions and details are sent. For senders that post to Opsgenie's API, change their API URL to "
    "Tocsin's instead.",
)
