"""Rollbar: items that are new, come back, grow or are resolved, as its webhooks send them.

Source: Rollbar, "Webhooks", read 2026-11: ``{"event_name": ..., "data": {"item": {...}}}`` for ``new_item``,
``reactivated_item``, ``reopened_item``, ``resolved_item``, ``exp_repeat_item``, ``item_velocity`` and ``occurrence``
(which adds ``data.occurrence``), ``data.deploy`` for ``deploy``. An item's ``level`` is 10 (debug) to 50 (critical);
``last_occurrence`` holds what an item's newest occurrence said. A webhook carries no credential but its address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, frame_of, object_at, objects_at, said, text_at

_LEVELS = {"10": "debug", "20": "info", "30": "warning", "40": "error", "50": "critical"}
_EVENTS = {
    "new_item": "New item",
    "occurrence": "Another occurrence",
    "exp_repeat_item": "Repeated item",
    "item_velocity": "High rate of occurrences",
    "reactivated_item": "Came back after it was resolved",
    "reopened_item": "Opened again by hand",
    "resolved_item": "Resolved",
}
_NO_ALERTS = frozenset({"deploy", "test"})
_SHOWN_FRAMES = 5


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the item, none for a deploy or a test.

    Raises:
        ParseError: No JSON object, or one without an event and an item with an id.
    """
    payload = load_object(body)
    event = text_at(payload, "event_name", limit=60)
    if event in _NO_ALERTS:
        return Events(notes=[f"a {event}: no alert"])
    data = object_at(payload, "data")
    item = object_at(data, "item")
    identity = text_at(item, "id", limit=200)
    if not event or not identity:
        raise ParseError("body.unexpected_shape", "no event of Rollbar: 'event_name' and 'data.item.id' are needed")
    occurrence = object_at(data, "occurrence") or object_at(item, "last_occurrence")
    status = AlertStatus.RESOLVED if event == "resolved_item" else AlertStatus.FIRING
    at = _event_time(event, item, occurrence)
    level = text_at(item, "level", limit=20)
    return [
        AlertEvent(
            dedup_key=f"item:{identity}",
            status=status,
            title=_title(event, item, identity),
            description=_description(event, item, occurrence),
            raw_severity=_LEVELS.get(level) or level or text_at(occurrence, "level", limit=20),
            event_time=at,
            starts_at=values.parse_time(item.get("first_occurrence_timestamp")) if event == "new_item" else at,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=_labels(item, occurrence),
            links=_links(data, occurrence),
            warnings=bounded([] if event in _EVENTS else [f"event {event!r} is not known: taken as firing"]),
        )
    ]


def _title(event: str, item: Mapping[str, Any], identity: str) -> str:
    """This will say what it is and where, and that it comes in masses if that is what the webhook is for."""
    title = text_at(item, "title", limit=values.TITLE_MAX - 100) or f"Rollbar item {identity}"
    where = text_at(item, "environment", limit=60)
    named = f"{title} ({where})" if where else title
    return f"{_EVENTS[event]}: {named}" if event == "item_velocity" else named


def _event_time(event: str, item: Mapping[str, Any], occurrence: Mapping[str, Any]) -> datetime | None:
    """This will return when it happened.

    Resolving and reopening are done by people, and the item still holds the time of its last occurrence, which is
    before both: taken for the event's, a reopening would be older than the resolve that it follows.
    """
    if event in ("resolved_item", "reopened_item"):
        return None
    return values.parse_time(occurrence.get("timestamp")) or values.parse_time(item.get("last_occurrence_timestamp"))


def _labels(item: Mapping[str, Any], occurrence: Mapping[str, Any]) -> dict[str, str]:
    return said(
        {
            "alertname": text_at(item, "title"),
            "environment": text_at(item, "environment") or text_at(occurrence, "environment"),
            "project_id": text_at(item, "project_id"),
            "item": text_at(item, "counter"),
            "language": text_at(occurrence, "language"),
            "framework": text_at(occurrence, "framework"),
            "host": text_at(object_at(occurrence, "server"), "host"),
            "code_version": text_at(occurrence, "code_version"),
            "context": text_at(occurrence, "context"),
            "exception": text_at(object_at(_trace(occurrence), "exception"), "class"),
        }
    )


def _trace(occurrence: Mapping[str, Any]) -> Mapping[str, Any]:
    body = object_at(occurrence, "body")
    chain = objects_at(body, "trace_chain")
    return chain[0] if chain else object_at(body, "trace")


def _description(event: str, item: Mapping[str, Any], occurrence: Mapping[str, Any]) -> str:
    total, where = text_at(item, "total_occurrences", limit=20), text_at(item, "environment", limit=100)
    happened = _EVENTS.get(event, event)
    lines = [happened + (f" in {where}" if where else "") + (f"; occurrences so far: {total}" if total else "")]
    trace = _trace(occurrence)
    exception, message = object_at(trace, "exception"), object_at(object_at(occurrence, "body"), "message")
    lines.append(text_at(exception, "message") or text_at(message, "body"))
    lines += (
        frame_of(text_at(frame, "method", limit=100), text_at(frame, "filename", limit=300), text_at(frame, "lineno"))
        for frame in reversed(objects_at(trace, "frames")[-_SHOWN_FRAMES:])
    )
    return description_of(lines)


def _links(data: Mapping[str, Any], occurrence: Mapping[str, Any]) -> tuple[Any, ...]:
    uuid = text_at(occurrence, "uuid", limit=60)
    by_uuid = f"https://rollbar.com/item/uuid/?uuid={uuid}" if uuid.replace("-", "").isalnum() else ""
    return values.links(("Item", data.get("url")), ("Occurrence", by_uuid))


SOURCE = AlertSource(
    slug="rollbar",
    title="Rollbar",
    profile="url_secret",
    parse=parse,
    severities={**COMMON_SEVERITIES, "error": Severity.P2, "warning": Severity.P3},
    example={
        "event_name": "new_item",
        "data": {
            "item": {
                "id": 1001,
                "counter": 4,
                "environment": "production",
                "title": "KeyError: 'total'",
                "level": 40,
                "total_occurrences": 1,
                "project_id": 90,
                "status": 1,
                "first_occurrence_timestamp": 1767614400,
                "last_occurrence_timestamp": 1767614400,
                "last_occurrence": {"timestamp": 1767614400, "language": "python", "server": {"host": "web-1"}},
            }
        },
    },
    document="https://docs.rollbar.com/docs/webhooks",
    document_date="2026-11-21",
    setup="Under Settings > Notifications > Webhook of the project enter the address with its secret, enable it, and keep "
    "JSON as the format. Add rules for New Item, Item Reactivated, Item Reopened, High Occurrence Rate and Item Resolved; "
    "without the last one incidents stay open until someone closes them here.",
)
