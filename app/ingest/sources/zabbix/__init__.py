"""Zabbix: a media type of the type webhook that posts the macros of an event.

Source: Zabbix manual, "Webhook", "Additional JavaScript objects" and "Supported macros" (7.4, read 2026-11). The
payload is ours: the script of docs/how-to/connect-zabbix.md posts its parameters as a JSON object and signs it. The problem
and its recovery have one ``{EVENT.ID}``. A macro without a value arrives as it was written, or as ``*UNKNOWN*``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, prose_at, said, text_at, text_of

_MACRO = re.compile(r"\{[$#]?[A-Z][A-Z0-9_.]*\}")
_DISCOVERIES = ("1", "2")
_LEVELS = ("not classified", "information", "warning", "average", "high", "disaster")
_LABELS = {"host": "host", "host_ip": "address", "hostgroups": "hostgroups", "trigger_id": "trigger_id"}
_TAGS_MAX = 40


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event; nothing for discoveries and for the test of the media type, whose macros are empty.

    Raises:
        ParseError: No object, or no ``event_id`` in it.
    """
    payload = load_object(body)
    sent = {name: value for name, value in payload.items() if not _is_unset(value)}
    event_id = text_at(sent, "event_id")
    if not event_id:
        if "event_id" in payload:
            return Events(notes=["a test: no alert"])
        raise ParseError("body.unexpected_shape", "there is no 'event_id': use the media type's script as it is")
    if text_at(sent, "event_source") in _DISCOVERIES:
        return Events(notes=["no alert is made of a discovery"])
    warnings: list[str] = []
    status = _status(sent, warnings)
    began_at, at = values.parse_time(sent.get("event_time")), _changed_at(sent, status)
    labels = _labels(sent)
    return [
        AlertEvent(
            dedup_key=f"event:{event_id}",
            status=status,
            title=_title(sent, event_id),
            description=_described(sent),
            raw_severity=_severity(sent),
            event_time=at,
            starts_at=began_at,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=labels,
            links=values.links(("Event", _event_url(sent, event_id)), ("Trigger", sent.get("trigger_url"))),
            # Each problem is an event of its own; the same trigger again is the same incident to people.
            group=said({name: labels.get(name, "") for name in ("host", "trigger_id")}),
            note=_note(sent),
            warnings=bounded(warnings),
        )
    ]


def _is_unset(value: object) -> bool:
    return isinstance(value, str) and (value in {"", "*UNKNOWN*"} or _MACRO.fullmatch(value) is not None)


def _is_update(sent: Mapping[str, Any]) -> bool:
    return text_at(sent, "update_status") == "1"


def _status(sent: Mapping[str, Any], warnings: list[str]) -> AlertStatus:
    if _is_update(sent):
        words = text_at(sent, "update_action").lower().replace(",", " ").split()
        if "acknowledged" in words:
            return AlertStatus.ACKNOWLEDGED
        # A new severity is taken over; a comment, a suppression or a closing (its recovery follows) is only told.
        return AlertStatus.FIRING if "severity" in words else AlertStatus.NOTED
    value = text_at(sent, "event_value").lower()
    if value not in {"0", "1", "problem", "ok"}:
        warnings.append(f"event_value {value!r} is not known: taken as a problem")
    return AlertStatus.RESOLVED if value in {"0", "ok"} else AlertStatus.FIRING


def _changed_at(sent: Mapping[str, Any], status: AlertStatus) -> datetime | None:
    if status is AlertStatus.RESOLVED:
        return values.parse_time(sent.get("recovery_time"))
    if status is AlertStatus.FIRING:
        return values.parse_time(sent.get("event_time"))
    return values.parse_time(sent.get("update_time"))


def _severity(sent: Mapping[str, Any]) -> str:
    """The level's number rather than its name, which every site may change."""
    level = text_at(sent, "update_nseverity", "event_nseverity")
    if level.isascii() and level.isdigit() and len(level) == 1 and int(level) < len(_LEVELS):
        return _LEVELS[int(level)]
    return text_at(sent, "event_severity", limit=100)


def _title(sent: Mapping[str, Any], event_id: str) -> str:
    name = text_at(sent, "event_name", limit=values.TITLE_MAX) or f"Zabbix event {event_id}"
    host = text_at(sent, "host_name", "host")
    return values.one_line(name if not host or host in name else f"{name} on {host}")


def _described(sent: Mapping[str, Any]) -> str:
    data = text_at(sent, "event_opdata")
    parts = [f"Operational data: {data}" if data else "", prose_at(sent, "trigger_description")]
    return description_of(parts, between="\n\n")


def _labels(sent: Mapping[str, Any]) -> dict[str, str]:
    own = {label: text_at(sent, name) for name, label in _LABELS.items()}
    return said({**_tags(sent.get("event_tags")), **own, "alertname": text_at(sent, "event_name")})


def _tags(found: object) -> dict[str, str]:
    """The event's tags, a list of ``tag`` and ``value``, as JSON or as the text that the macro is."""
    if isinstance(found, str):
        try:
            found = orjson.loads(found)
        except orjson.JSONDecodeError:
            return {}
    tags: dict[str, str] = {}
    for entry in found[:_TAGS_MAX] if isinstance(found, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("tag"), str) and entry["tag"]:
            name, value = entry["tag"], text_of(entry.get("value"))
            tags[name] = f"{tags[name]}, {value}" if name in tags else value
    return values.clean_mapping(tags)


def _event_url(sent: Mapping[str, Any], event_id: str) -> str:
    base, trigger = text_at(sent, "zabbix_url", limit=500).rstrip("/"), text_at(sent, "trigger_id")
    if not base or not (event_id + trigger).isascii() or not event_id.isdigit() or not trigger.isdigit():
        return ""
    return f"{base}/tr_events.php?triggerid={trigger}&eventid={event_id}"


def _note(sent: Mapping[str, Any]) -> str:
    if not _is_update(sent):
        return ""
    who, deed = text_at(sent, "update_user", limit=200) or "Somebody", text_at(sent, "update_action") or "updated it"
    message = prose_at(sent, "update_message", limit=8000)
    return f"{who} {deed}: {message}" if message else f"{who} {deed}"


SOURCE = AlertSource(
    slug="zabbix",
    title="Zabbix",
    profile="standard_webhooks",
    parse=parse,
    severities={**COMMON_SEVERITIES, "not classified": Severity.P3},
    document="https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook",
    document_date="2026-11",
    setup="Under Alerts > Media types make a webhook with the parameters and the script of "
    "docs/how-to/connect-zabbix.md, the address and the secret among them; give it to a user as media, and send "
    "problem, recovery and update operations of your trigger actions to that user.",
    example={
        "event_id": "1",
        "event_source": "0",
        "event_value": "1",
        "event_name": "A first problem from Zabbix",
        "event_nseverity": "1",
        "event_time": "1767614400",
        "update_status": "0",
        "host": "test-1",
        "trigger_id": "1",
    },
)
