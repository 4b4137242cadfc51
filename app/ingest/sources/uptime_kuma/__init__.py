"""Uptime Kuma's webhook notifications, with the preset JSON body.

Source: louislam/uptime-kuma, ``server/notification-providers/webhook.js`` and ``server/model/monitor.js``, read 2026-11.
``heartbeat`` (``monitorID``, ``status``, ``time`` in UTC, ``msg``), ``monitor`` (``id``, ``name``, ``pathName``, ``type``,
``url``, ``hostname``, ``port``, ``tags``) and ``msg``. Heartbeat and monitor are null for a test, and for certificates
and domains that expire soon, which are one sentence in ``msg``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values

_DOWN, _UP, _PENDING, _MAINTENANCE = "down", "up", "pending", "maintenance"
_STATUSES = {"0": _DOWN, "1": _UP, "2": _PENDING, "3": _MAINTENANCE}
_OVER = (_UP, _MAINTENANCE)
_EXPIRES = re.compile(r"(.{1,1000}?) will (?:be expired|expire) in (-?\d{1,5}) days?", re.DOTALL)


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the monitor's one event, none for a test.

    Raises:
        ParseError: No JSON object, or neither a heartbeat nor an expiry in it.
    """
    payload = load_object(body)
    heartbeat, monitor = fields.object_at(payload, "heartbeat"), fields.object_at(payload, "monitor")
    monitor_id = fields.text_of(monitor.get("id") or heartbeat.get("monitorID"), limit=4096)
    if monitor_id and "status" in heartbeat:
        return _state_change(monitor_id, heartbeat, monitor, payload)
    message = fields.text_at(payload, "msg")
    expiry = _EXPIRES.match(message)
    if expiry is not None:
        return [_expiry(message, what=expiry[1], days=expiry[2])]
    if message.endswith("Testing"):
        return Events(notes=["a test: no alert"])
    raise ParseError("body.unexpected_shape", "no state change: 'heartbeat' is missing; choose the preset JSON body")


def _state_change(
    monitor_id: str, heartbeat: Mapping[str, Any], monitor: Mapping[str, Any], payload: Mapping[str, Any]
) -> list[AlertEvent]:
    said = fields.text_at(heartbeat, "status")
    state = _STATUSES.get(said, _DOWN)
    if state == _PENDING:
        return Events(notes=["a monitor that is tried again is not down yet"])
    status = AlertStatus.RESOLVED if state in _OVER else AlertStatus.FIRING
    name = fields.text_at(monitor, "pathName", "name") or f"Monitor {monitor_id}"
    because = fields.text_at(heartbeat, "msg")
    now = {_MAINTENANCE: "under maintenance"}.get(state, state)
    at = values.parse_time(heartbeat.get("time"))
    return [
        AlertEvent(
            dedup_key=f"monitor:{monitor_id}",
            status=status,
            title=values.one_line(f"{name} is {now}: {because}" if because and state == _DOWN else f"{name} is {now}"),
            description=fields.description_of(
                (fields.prose_at(monitor, "description", limit=4000), fields.prose_at(payload, "msg")), between="\n\n"
            ),
            raw_severity=state,
            event_time=at,
            starts_at=at if status is AlertStatus.FIRING else None,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=_labels(name, monitor),
            links=values.links(("Checked page", monitor.get("url"))),
            warnings=fields.bounded([] if said in _STATUSES else [f"status {said[:40]!r} is not known: taken as down"]),
        )
    ]


def _labels(name: str, monitor: Mapping[str, Any]) -> dict[str, str]:
    """The monitor's tags by their names, so that alerts can be grouped by ``env`` or ``team``; ours win."""
    tags = {
        fields.text_at(tag, "name")[: values.LABEL_NAME_MAX]: fields.text_at(tag, "value") or "true"
        for tag in fields.objects_at(monitor, "tags")[:20]
    }
    own = {
        "alertname": name,
        "monitor_type": fields.text_at(monitor, "type"),
        "host": fields.text_at(monitor, "hostname"),
        "port": fields.text_at(monitor, "port"),
        # Without an address of its own a monitor's url is this placeholder.
        "url": fields.text_at(monitor, "url").removeprefix("https://").removeprefix("http://"),
    }
    return {tag: said for tag, said in tags.items() if tag} | fields.said(own)


def _expiry(message: str, *, what: str, days: str) -> AlertEvent:
    return AlertEvent(
        # One alert for all the reminders of one certificate, whatever the number of days in them.
        dedup_key=fields.compound_key("expiry", what),
        status=AlertStatus.FIRING,
        title=values.one_line(message),
        raw_severity="expiry",
        labels={"alertname": values.one_line(what, limit=values.LABEL_VALUE_MAX), "days_left": days},
    )


SOURCE = AlertSource(
    slug="uptime_kuma",
    title="Uptime Kuma",
    profile="bearer",
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        _DOWN: Severity.P1,
        "expiry": Severity.P2,
        _PENDING: Severity.P3,
        _UP: Severity.P3,
        _MAINTENANCE: Severity.P3,
    },
    example={
        "heartbeat": {"monitorID": 1, "status": 0, "msg": "connect ECONNREFUSED"},
        "monitor": {"id": 1, "name": "A first monitor", "type": "http", "url": "https://example.com/"},
        "msg": "[A first monitor] [Down] connect ECONNREFUSED",
    },
    document="https://github.com/louislam/uptime-kuma/blob/master/server/notification-providers/webhook.js",
    document_date="2026-11",
    setup="Under Settings > Notifications add a Webhook: the address as Post URL, Request Body 'Preset - "
    'application/json\', and as additional headers {"Authorization": "Bearer <secret>"}.',
)
