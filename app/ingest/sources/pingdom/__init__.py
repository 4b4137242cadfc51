"""Pingdom's state change webhooks: one POST for each time an uptime or transaction check changes its state.

Source: pingdom.com/resources/webhooks, read 2026-11. ``check_id``, ``check_name``, ``check_type``, ``check_params``,
``tags``, ``previous_state``, ``current_state`` (UP or DOWN, for transactions SUCCESS or FAILING), ``importance_level``,
``state_changed_timestamp``, ``description``, ``long_description``, ``custom_message``, ``first_probe``, ``second_probe``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values

_STATES = {
    "down": AlertStatus.FIRING,
    "failing": AlertStatus.FIRING,
    "up": AlertStatus.RESOLVED,
    "success": AlertStatus.RESOLVED,
}
_NOTHING_NEW = ("unconfirmed_down", "unknown", "paused")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the check's one event.

    Raises:
        ParseError: No JSON object, or no check or state in it.
    """
    payload = load_object(body)
    check_id = fields.text_of(payload.get("check_id"), limit=4096)
    state = fields.text_of(payload.get("current_state")).lower()
    if not check_id or not state:
        raise ParseError("body.unexpected_shape", "no state change of a check: check_id or current_state is missing")
    if state in _NOTHING_NEW:
        return Events(notes=[f"a check that is {state} says neither up nor down"])
    status = _STATES.get(state, AlertStatus.FIRING)
    at = fields.time_at(payload, "state_changed_timestamp", "state_changed_utc_time")
    name = fields.text_at(payload, "check_name") or f"Check {check_id}"
    parameters = fields.object_at(payload, "check_params")
    return [
        AlertEvent(
            dedup_key=f"check:{check_id}",
            status=status,
            title=values.one_line(_title(name, state, payload)),
            description=_description(payload),
            raw_severity=fields.text_at(payload, "importance_level"),
            event_time=at,
            starts_at=at if status is AlertStatus.FIRING else None,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=_labels(name, payload, parameters),
            links=values.links(("Checked page", parameters.get("full_url"))),
            warnings=fields.bounded(_warnings(state, payload)),
        )
    ]


def _title(name: str, state: str, payload: Mapping[str, Any]) -> str:
    what = fields.text_at(payload, "description", "long_description")
    return (
        f"{name} is {state.upper()}: {what}"
        if what and _STATES.get(state) is not AlertStatus.RESOLVED
        else (f"{name} is {state.upper()}")
    )


def _description(payload: Mapping[str, Any]) -> str:
    places = [fields.text_at(fields.object_at(payload, probe), "location") for probe in ("first_probe", "second_probe")]
    seen = " and ".join(filter(None, places))
    parts = [fields.prose_at(payload, "long_description", "description"), fields.prose_at(payload, "custom_message")]
    if seen:
        parts.append(f"Seen from {seen}.")
    return fields.description_of(parts, between="\n\n")


def _labels(name: str, payload: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, str]:
    return fields.said(
        {
            "alertname": name,
            "check_type": fields.text_at(payload, "check_type"),
            "host": fields.text_at(parameters, "hostname"),
            "importance": fields.text_at(payload, "importance_level"),
            "tags": ", ".join(fields.texts_at(payload, "tags"))[: values.LABEL_VALUE_MAX],
        }
    )


def _warnings(state: str, payload: Mapping[str, Any]) -> list[str]:
    found = []
    if state not in _STATES:
        found.append(f"state {state[:40]!r} is not known: taken as firing")
    version = fields.text_of(payload.get("version"))
    if version not in ("", "1"):
        found.append(f"payload version {version[:20]}: read as version 1")
    return found


SOURCE = AlertSource(
    slug="pingdom",
    title="Pingdom",
    profile="url_secret",  # Pingdom signs nothing and sets no headers
    parse=parse,
    example={
        "check_id": 1,
        "check_name": "A first check",
        "check_type": "HTTP",
        "previous_state": "UP",
        "current_state": "DOWN",
        "importance_level": "LOW",
        "description": "HTTP error 503",
    },
    document="https://www.pingdom.com/resources/webhooks/",
    document_date="2026-11",
    setup="Under Settings > Integrations add a webhook with the whole address, secret included, as its URL; then choose "
    "it for each check, under Connect Integrations.",
)
