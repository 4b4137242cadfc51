"""Graylog's HTTP notifications.

Source: Graylog2/graylog2-server, ``EventNotificationModelData`` and ``EventDto``, and go2docs.graylog.org, "HTTP
notification", read 2026-11. ``event_definition_id``, ``_type``, ``_title``, ``_description``, ``remediation_steps``,
``job_trigger_id``, ``event`` (``id``, ``timestamp``, ``message``, ``source``, ``key``, ``key_tuple``, ``priority`` 1 low to 4
critical, ``fields``, ``group_by_fields``, ``replay_info``), ``backlog``. It fires and never says that it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, Events, ParseError, load_object
from app.ingest.rules import fields, values

_TEST_DEFINITION = "NotificationTestId"
_PRIORITIES = {"1": "low", "2": "normal", "3": "high", "4": "critical"}
_BACKLOG_SHOWN = 3
_RESOLVE_TIMEOUT_S = 4 * 3600


class GraylogConfig(BaseModel):
    """What a tenant may set for a Graylog source.

    Attributes:
        web_url: Where people open Graylog, for the link to the event definition; no notification says it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    web_url: str = Field("", max_length=500)


def parse(body: bytes, headers: Mapping[str, str], config: GraylogConfig) -> list[AlertEvent]:
    """This will return the notification's one event, none for a test.

    Raises:
        ParseError: No JSON object, or no event of a definition in it.
    """
    payload = load_object(body)
    event = fields.object_at(payload, "event")
    definition = fields.text_of(payload.get("event_definition_id"), limit=4096)
    definition = definition or fields.text_of(event.get("event_definition_id"), limit=4096)
    if not definition or not event:
        raise ParseError("body.unexpected_shape", "no event: event_definition_id or 'event' is missing")
    if definition == _TEST_DEFINITION:
        return Events(notes=["a test: no alert"])
    title = fields.text_at(payload, "event_definition_title") or f"Event definition {definition[:100]}"
    message = fields.text_at(event, "message")
    priority = fields.text_at(event, "priority")
    at = values.parse_time(event.get("timestamp"))
    return [
        AlertEvent(
            dedup_key=fields.compound_key("definition", definition, _key(event)),
            status=AlertStatus.FIRING,
            title=values.one_line(message if message.startswith(title) or not message else f"{title}: {message}")
            or title,
            description=_description(payload, event),
            raw_severity=_PRIORITIES.get(priority, priority),
            event_time=at,
            starts_at=values.parse_time(event.get("timerange_start")) or at,
            labels=_labels(title, event),
            links=values.links(("Event definition", _url(config, definition))),
            # A definition that counts by host has an event for each: one incident for the definition.
            group={"event_definition": title},
        )
    ]


def _key(event: Mapping[str, Any]) -> str:
    """What tells the events of one definition apart: the key that it was given, else what it groups by."""
    key = fields.text_of(event.get("key"), limit=4096)
    if key:
        return key
    groups = values.clean_mapping(event.get("group_by_fields"), value_limit=4096)
    return "\n".join(f"{name}={groups[name]}" for name in sorted(groups))


def _description(payload: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    steps = fields.prose_at(payload, "remediation_steps", limit=4000)
    messages = [fields.text_at(entry, "message") for entry in fields.objects_at(payload, "backlog")[:_BACKLOG_SHOWN]]
    parts = (
        fields.prose_at(payload, "event_definition_description", limit=4000),
        "" if steps == "<unknown>" else steps,
        fields.prose_at(event, "message", limit=2000),
        "\n".join(f"Log: {message}" for message in messages if message),
    )
    return fields.description_of(parts, between="\n\n")


def _labels(title: str, event: Mapping[str, Any]) -> dict[str, str]:
    own = {
        "alertname": title,
        "source": fields.text_at(event, "source"),
        "key": fields.text_at(event, "key"),
        "priority": fields.text_at(event, "priority"),
    }
    given = values.clean_mapping(event.get("group_by_fields")) | values.clean_mapping(event.get("fields"))
    return {name: said for name, said in fields.said(given).items() if name} | fields.said(own)


def _url(config: GraylogConfig, definition: str) -> str:
    base = config.web_url.rstrip("/")
    return f"{base}/alerts/definitions/{definition}" if base and definition.isalnum() else ""


SOURCE = AlertSource(
    slug="graylog",
    title="Graylog",
    profile="bearer",
    config_model=GraylogConfig,
    parse=parse,
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "event_definition_id": "1",
        "event_definition_title": "A first event definition",
        "event": {"id": "1", "priority": 1, "message": "A first event", "source": "graylog-1"},
    },
    document="https://go2docs.graylog.org/current/interacting_with_your_log_data/notifications.html",
    document_date="2026-11",
    setup="Under Alerts > Notifications add a Custom HTTP notification: POST, the address, content type JSON and the "
    "header Authorization: Bearer <secret>, and leave its body empty. The plain HTTP notification sets no header: for it "
    "choose the profile url_secret. Put the address on the URL allow list. Graylog "
    "never says that an event is over: it ends four hours after the last one, or after the source's resolve_timeout_s.",
)
