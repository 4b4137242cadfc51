"""ThousandEyes: alerts and agent notifications, as its webhooks send them.

Source: ThousandEyes, "Classic Webhooks for Alert Notifications" (payload of ``eventId``, ``eventType`` and ``alert`` or
``agentAlert``), read 2026-11. "All eventIds are unique; to correlate trigger and clear, reference the alertId." Times
without a zone are UTC; ``dateStartZoned`` says so in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, object_at, objects_at, said, text_at, texts_at, time_at

_EVENTS = {
    "ALERT_NOTIFICATION_TRIGGER": AlertStatus.FIRING,
    "ALERT_NOTIFICATION_CLEAR": AlertStatus.RESOLVED,
    "AGENT_ALERT_NOTIFICATION_TRIGGER": AlertStatus.FIRING,
    "AGENT_ALERT_NOTIFICATION_CLEAR": AlertStatus.RESOLVED,
}
_TEST = "WEBHOOK_TEST"
_SHOWN_AGENTS = 10


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the notification, none for the test of the webhook.

    Raises:
        ParseError: No JSON object, or one without an event type and an alert with an id.
    """
    payload = load_object(body)
    event = text_at(payload, "eventType", limit=60)
    if event == _TEST:
        return Events(notes=["a test: no alert"])
    alert = object_at(payload, "alert") or object_at(payload, "agentAlert")
    identity = text_at(alert, "alertId", "agentNotificationId", limit=200)
    if not event or not identity:
        raise ParseError(
            "body.unexpected_shape", "no notification of ThousandEyes: 'eventType' and 'alert.alertId' needed"
        )
    warnings: list[str] = []
    status = _EVENTS.get(event)
    if status is None:
        status = AlertStatus.FIRING
        warnings.append(f"event type {event!r} is not known: taken as a trigger")
    began, ended = time_at(alert, "dateStartZoned", "dateStart"), time_at(alert, "dateEndZoned", "dateEnd")
    over = status is AlertStatus.RESOLVED
    return [
        AlertEvent(
            dedup_key=f"alert:{identity}",
            status=status,
            title=_title(alert, identity),
            description=_description(alert, over=over),
            raw_severity=text_at(alert, "severity", limit=40),
            event_time=ended if over else began,
            starts_at=began,
            ends_at=ended if over else None,
            labels=_labels(alert),
            links=_links(alert),
            warnings=bounded(warnings),
        )
    ]


def _title(alert: Mapping[str, Any], identity: str) -> str:
    rule, subject = text_at(alert, "ruleName", limit=200), text_at(alert, "testName", "agentName", limit=250)
    if rule and subject:
        return f"{rule}: {subject}"
    return rule or subject or f"ThousandEyes alert {identity}"


def _labels(alert: Mapping[str, Any]) -> dict[str, str]:
    agents = objects_at(alert, "agents")
    names = [text_at(label, "name", limit=100) for label in objects_at(alert, "testLabels")[:_SHOWN_AGENTS]]
    return said(
        {
            "alertname": text_at(alert, "ruleName"),
            "test": text_at(alert, "testName"),
            "type": text_at(alert, "type"),
            "target": ", ".join(texts_at(alert, "testTargetsDescription", most=5)),
            "agent": text_at(alert, "agentName") or (text_at(agents[0], "agentName") if len(agents) == 1 else ""),
            "host": text_at(alert, "hostname"),
            "test_labels": ", ".join(name for name in names if name),
        }
    )


def _description(alert: Mapping[str, Any], *, over: bool) -> str:
    lines = [text_at(alert, "ruleExpression"), text_at(alert, "metricsAtEnd" if over else "metricsAtStart")]
    # Clouds name themselves ``agents``, BGP alerts ``monitors``, device alerts ``devices``.
    places = next((found for name in ("agents", "monitors", "devices") if (found := objects_at(alert, name))), [])
    for place in places[:_SHOWN_AGENTS]:
        name = text_at(place, "agentName", "monitorName", "deviceName", "name", limit=200)
        measured = text_at(place, "metricsAtEnd", "metricsAtStart") if over else text_at(place, "metricsAtStart")
        lines.append(f"{name or '?'}: {measured or 'no metric'}")
    if len(places) > _SHOWN_AGENTS:
        lines.append(f"and {len(places) - _SHOWN_AGENTS} more")
    return description_of(lines)


def _links(alert: Mapping[str, Any]) -> tuple[Any, ...]:
    agents = objects_at(alert, "agents")
    return values.links(
        ("Alert", alert.get("permalink")), ("Agent", agents[0].get("permalink") if len(agents) == 1 else None)
    )


SOURCE = AlertSource(
    slug="thousandeyes",
    title="Cisco ThousandEyes",
    profile="bearer",
    parse=parse,
    severities={**COMMON_SEVERITIES, "major": Severity.P2, "unknown": Severity.P2},
    example={
        "eventId": "49-1001",
        "eventType": "ALERT_NOTIFICATION_TRIGGER",
        "alert": {
            "alertId": "5abda706-c065-40fa-aa8c-059c3ac1ea9d",
            "ruleName": "Page load",
            "ruleExpression": "Page Load is incomplete",
            "testName": "https://shop.example.com",
            "type": "Page Load",
            "severity": "Major",
            "dateStart": "2026-01-05 12:00:00",
            "violationCount": 1,
            "agents": [{"agentName": "Boston, MA", "active": 1, "metricsAtStart": "Page load: Incomplete"}],
            "permalink": "https://app.thousandeyes.com/alerts/list?alertId=5abda706",
        },
    },
    document="https://docs.thousandeyes.com/product-documentation/alerts/standard-notification-methods/"
    "classic-webhooks-for-alert-notifs",
    document_date="2026-11-21",
    setup="Under Alerts > Alert Rules > Notifications > Webhooks add one with the address, auth type Token and the secret "
    "as its bearer token; press Test, choose it in each rule, and let the rule also send when the alert clears.",
)
