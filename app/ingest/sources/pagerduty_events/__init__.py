"""Senders that were made for PagerDuty's Events API: version 2 (``/v2/enqueue``), its change events, and version 1.

Source: developer.pagerduty.com, "Events API v2 Overview", "Send an Alert Event", "Send a Change Event" and "Send a v1
Event", read 2026-11. Version 2 has ``event_action`` (trigger, acknowledge, resolve), ``dedup_key``, ``payload``
(``summary``, ``source``, ``severity``, ``timestamp``, ``component``, ``group``, ``class``, ``custom_details``),
``images``, ``links``, ``client``, ``client_url``; version 1 has ``event_type``, ``incident_key``, ``description``,
``details``, ``contexts``. Acknowledging and resolving carry no time, so events count in their order of arrival: a
trigger's ``timestamp`` is when it began, from a clock that nobody compares with the later events'.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, Events, NoConfig, ParseError, SenderKey, load_object
from app.ingest.rules import fields, values

KEY_HEADER = "x-tocsin-alias"
"""Set by the door where the sender left the choice of the key to us."""

CHANGE_HEADER = "x-tocsin-change"
"""Set by the door of change events: what is sent there is one whatever else it says."""

_ACTIONS = {
    "trigger": AlertStatus.FIRING,
    "acknowledge": AlertStatus.ACKNOWLEDGED,
    "resolve": AlertStatus.RESOLVED,
}
_SEVERITIES = ("critical", "warning", "error", "info")
_KEY_CHARS = 32
_KEY_MAX = 4_096


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event; none for a change event, which is no alert.

    Raises:
        ParseError: No event of one of the three kinds.
    """
    event = load_object(body)
    change = CHANGE_HEADER in headers or _is_change(event)
    found = faults(event, change=change)
    if found:
        raise ParseError("body.unexpected_shape", "; ".join(found))
    if change:
        return Events(notes=["a change event: kept, and no alert is made of it"])
    alias = headers.get(KEY_HEADER, "")
    return [_first_version(event, alias) if is_first_version(event) else _second_version(event, alias)]


def is_first_version(event: Mapping[str, Any]) -> bool:
    """This will tell version 1's events by their own field."""
    return "event_type" in event


def faults(event: Mapping[str, Any], *, change: bool) -> list[str]:
    """This will say what is wrong with an event, as PagerDuty's answers do; nothing where it can be taken.

    Args:
        event: As sent.
        change: Whether it is a change event, which has no action, or none that means anything.
    """
    payload = event.get("payload")
    if change:
        return [] if _text(payload, "summary") else ["'payload.summary' is missing or blank"]
    if is_first_version(event):
        return _faults_of_first(event)
    action = event.get("event_action")
    if not isinstance(action, str) or not action:
        return ["'event_action' is missing or blank"]
    if action not in _ACTIONS:
        return ["'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"]
    found = [] if _is_key(event.get("dedup_key")) else ["'dedup_key' is not a string"]
    if action == "trigger":
        return found + _faults_of_trigger(payload)
    return found if _text(event, "dedup_key") or found else ["'dedup_key' is missing or blank"]


def _is_change(event: Mapping[str, Any]) -> bool:
    """Behind a source's own address change events are told by their having no action at all."""
    return "event_action" not in event and "event_type" not in event and isinstance(event.get("payload"), dict)


def _faults_of_trigger(payload: object) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    found = [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not _text(payload, name)]
    severity = payload.get("severity")
    if not _text(payload, "severity"):
        found.append("'payload.severity' is missing or blank")
    elif severity not in _SEVERITIES:
        found.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
        )
    return found


def _faults_of_first(event: Mapping[str, Any]) -> list[str]:
    action = event.get("event_type")
    if not isinstance(action, str) or action not in _ACTIONS:
        return ["event_type is invalid (must be one of: trigger acknowledge resolve)"]
    if not _is_key(event.get("incident_key")):
        return ["incident_key is not a string"]
    if action == "trigger":
        return [] if _text(event, "description") else ["description is missing or blank"]
    return [] if _text(event, "incident_key") else ["incident_key is missing or blank"]


def _text(holder: object, name: str) -> str:
    """What a required field says; a number says something too, white space does not."""
    return fields.text_at(holder, name, limit=80) if isinstance(holder, dict) else ""


def _is_key(value: object) -> bool:
    return value is None or isinstance(value, str)


def _second_version(event: Mapping[str, Any], alias: str) -> AlertEvent:
    payload = fields.object_at(event, "payload")
    title = fields.text_at(payload, "summary", limit=values.TITLE_MAX)
    key = _key(event.get("dedup_key"), alias, title, fields.text_at(payload, "source"))
    labels = {name: fields.text_at(payload, name) for name in ("source", "component", "group", "class")}
    client = fields.text_at(event, "client", limit=100)
    return AlertEvent(
        dedup_key=key,
        status=_ACTIONS[event["event_action"]],
        title=title or _untitled(key),
        description=fields.prose_at(payload, "summary") if _is_long(payload.get("summary")) else "",
        raw_severity=fields.text_at(payload, "severity"),
        starts_at=values.parse_time(payload.get("timestamp")),
        labels=fields.said(labels | {"client": client}),
        annotations=_details(payload.get("custom_details")),
        links=values.links((client or "Client", event.get("client_url")), *_links(event), *_images(event)),
    )


def _first_version(event: Mapping[str, Any], alias: str) -> AlertEvent:
    title = fields.text_at(event, "description", limit=values.TITLE_MAX)
    key = _key(event.get("incident_key"), alias, title)
    client = fields.text_at(event, "client", limit=100)
    contexts = fields.objects_at(event, "contexts")
    links = [(fields.text_at(one, "text", "alt") or "Link", one.get("href") or one.get("src")) for one in contexts]
    return AlertEvent(
        dedup_key=key,
        status=_ACTIONS[event["event_type"]],
        title=title or _untitled(key),
        description=fields.prose_at(event, "description") if _is_long(event.get("description")) else "",
        labels=fields.said({"client": client}),
        annotations=_details(event.get("details")),
        links=values.links((client or "Client", event.get("client_url")), *links),
    )


def _key(said: object, alias: str, *parts: str) -> str:
    """The sender's key, else ours; behind the source's own address nobody gives one, and what it says has to do."""
    own = values.clean_text(said, limit=_KEY_MAX) if isinstance(said, str) and said.strip() else alias
    return own or fields.compound_key("event", *parts)


def _untitled(key: str) -> str:
    """Acknowledging and resolving tell no title, and what they speak of has one already."""
    return values.one_line(f"Alert {key}", limit=values.TITLE_MAX)


def _is_long(text: object) -> bool:
    """Whether the title does not hold all of it."""
    return isinstance(text, str) and (len(text) > values.TITLE_MAX or "\n" in text.strip())


def _details(details: object) -> dict[str, str]:
    if details is None or isinstance(details, dict):
        return fields.said(values.clean_mapping(details, value_limit=values.ANNOTATION_MAX))
    return fields.said({"custom_details": values.clean_text(details, limit=values.ANNOTATION_MAX)})


def _links(event: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [(fields.text_at(one, "text") or "Link", one.get("href")) for one in fields.objects_at(event, "links")]


def _images(event: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [(fields.text_at(one, "alt") or "Image", one.get("src")) for one in fields.objects_at(event, "images")]


SOURCE = AlertSource(
    slug="pagerduty_events",
    title="Senders made for PagerDuty (Events API)",
    profile="bearer",  # behind /in/; where PagerDuty's own paths are used, the routing key in the body proves the sender
    parse=parse,
    example={
        "event_action": "trigger",
        "dedup_key": "tocsin-test",
        "payload": {"summary": "A first event", "source": "tocsin-test", "severity": "info"},
    },
    max_body_bytes=524_288,
    document="https://developer.pagerduty.com/docs/events-api-v2-overview",
    document_date="2026-11",
    setup="Where the sender lets you set PagerDuty's address, put Tocsin's public URL instead of "
    "https://events.pagerduty.com (the path /v2/enqueue stays) and this source's secret as the routing key. A key that "
    "senders have already can be brought along as the source's secret.",
    key=SenderKey(
        make=lambda: secrets.token_hex(_KEY_CHARS // 2),
        pattern=re.compile(rf"[A-Za-z0-9]{{{_KEY_CHARS}}}"),
        says=f"{_KEY_CHARS} letters and digits",
    ),
)
