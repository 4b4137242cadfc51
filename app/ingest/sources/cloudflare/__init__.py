"""Cloudflare's notifications, as its generic webhooks send them.

Source: Cloudflare, "Webhook payload schema", and the alert types of the Alerting API, read 2026-11: ``name``, ``text``,
``data`` (different for each ``alert_type``), ``ts``, ``policy_id``, ``policy_name``, ``alert_correlation_id`` and
``alert_event`` (ALERT_STATE_EVENT_START or _END). The webhook's secret comes in the header ``cf-webhook-auth``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import compound_key, description_of, object_at, prose_at, said, text_at
from app.ingest.sources.cloudflare.alert_types import ALERT_TYPES

_RESOLVE_TIMEOUT_S = 86_400
_END = "ALERT_STATE_EVENT_END"
_TEST = "this is a test message sent from https://cloudflare.com"
_TITLE_MAX = 200
_SENTENCE = re.compile(r"[.!?](?:\s|$)")
_OVER = frozenset({"healthy", "resolved", "recovered", "ok"})
# Where the state is in the data, its own word counts: not every kind of alert sends an END.
_STATE_FIELDS = ("new_health_status", "new_health", "new_status", "status")
_LABEL_FIELDS = (
    ("zone", ("zone_name",)),
    ("account", ("account_name",)),
    ("hostname", ("target_hostname", "hostname", "hostnames")),
    ("target_ip", ("target_ip", "origin_ip")),
    ("health_check", ("health_check_name",)),
    ("pool", ("pool_name",)),
    ("tunnel", ("tunnel_name",)),
    ("attack_vector", ("attack_vector", "attack_type")),
    ("rule", ("rule_name", "rule_id")),
)
# What stays the same from one notification to the next, more telling than the correlation.
_OBJECTS = ("health_check_id", "pool_id", "tunnel_id", "attack_id")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the notification, none for the message that tests the webhook.

    Raises:
        ParseError: No JSON object, or none with a text or a name.
    """
    payload = load_object(body)
    text = prose_at(payload, "text")
    if _TEST in text.lower():
        return Events(notes=["a test: no alert"])
    policy = text_at(payload, "policy_name", "name", limit=200)
    alert_type = text_at(payload, "alert_type", limit=100)
    if not text and not policy:
        raise ParseError("body.unexpected_shape", "no notification of Cloudflare: it has neither 'text' nor 'name'")
    data = object_at(payload, "data")
    at = values.parse_time(payload.get("ts"))
    over = _is_over(payload, data)
    return [
        AlertEvent(
            dedup_key=_dedup_key(payload, data, policy, alert_type),
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            title=_title(text) or policy,
            description=_description(text, data),
            raw_severity=alert_type,
            event_time=at,
            starts_at=values.parse_time(data.get("start_time")) or (None if over else at),
            ends_at=at if over else None,
            labels=_labels(data, policy, alert_type),
            links=values.links(
                ("Cloudflare dashboard", data.get("dashboard_link")),
                ("Rule", data.get("rule_link")),
            ),
        )
    ]


def _is_over(payload: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    if text_at(payload, "alert_event", limit=60).upper() == _END:
        return True
    # Tunnels say TUNNEL_STATUS_TYPE_HEALTHY.
    states = (text_at(data, name, limit=60).lower().rpartition("_")[2] for name in _STATE_FIELDS)
    return any(state in _OVER for state in states)


def _dedup_key(payload: Mapping[str, Any], data: Mapping[str, Any], policy: str, alert_type: str) -> str:
    for name in _OBJECTS:
        identity = text_at(data, name, limit=200)
        if identity:
            return f"{name}:{identity}"
    correlation = text_at(payload, "alert_correlation_id", limit=200)
    if correlation:
        return f"correlation:{correlation}"
    # Not the text: what ends it reads otherwise.
    about = [text_at(data, *fields) for name, fields in _LABEL_FIELDS if name in ("zone", "hostname", "target_ip")]
    return compound_key("notification", text_at(payload, "policy_id", limit=200) or policy, alert_type, *about)


def _title(text: str) -> str:
    """This will return the first sentence of the text: the rest of it is an explanation."""
    line = values.one_line(text.partition("\n")[0], limit=values.TITLE_MAX)
    end = _SENTENCE.search(line)
    first = line[: end.start()] if end is not None and end.start() > 0 else line
    return first if len(first) <= _TITLE_MAX else first[: _TITLE_MAX - 1] + values.ELLIPSIS


def _labels(data: Mapping[str, Any], policy: str, alert_type: str) -> dict[str, str]:
    labels = {name: text_at(data, *fields) for name, fields in _LABEL_FIELDS}
    return said({"alertname": alert_type or policy, "policy": policy, **labels})


def _description(text: str, data: Mapping[str, Any]) -> str:
    facts = [
        f"{name.replace('_', ' ')}: {text_at(data, name, limit=300)}"
        for name in ("reason", "failing_regions", "mitigation", "action", "max_rate", "requests_per_second")
        if text_at(data, name, limit=300)
    ]
    summary = prose_at(object_at(data, "episode"), "summary", limit=2000)
    return description_of((text, summary, *facts))


SOURCE = AlertSource(
    slug="cloudflare",
    title="Cloudflare",
    profile="header_token",
    parse=parse,
    severities={**COMMON_SEVERITIES, **ALERT_TYPES},
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "name": "Origin health",
        "text": "Health check web-1 is unhealthy.",
        "data": {
            "health_check_id": "hc1",
            "health_check_name": "web-1",
            "new_health_status": "Unhealthy",
            "reason": "HTTP timeout occurred",
            "zone_name": "example.com",
        },
        "ts": 1767614400,
        "policy_name": "Origin health",
        "alert_type": "health_check_status_notification",
        "alert_correlation_id": "000eaa907ed24e78946d3a93adb2ae57",
        "alert_event": "ALERT_STATE_EVENT_START",
    },
    document="https://developers.cloudflare.com/notifications/reference/webhook-payload-schema/",
    document_date="2026-11-21",
    setup="Under Notifications > Destinations add a webhook with the address, and the source's secret as its Secret: it comes "
    "in the header cf-webhook-auth. Choose the webhook in each notification policy. The severity follows the alert type; a "
    "severity_map with other types or other severities goes over it. Alerts of which Cloudflare never says that they are over "
    "are resolved after a day.",
)
