"""Senders that were made for Opsgenie's Alert API (also that of Jira Service Management).

Source: docs.opsgenie.com, "Alert API" (create, close, acknowledge, add note, snooze), read 2026-11. Creating has
``message``, ``alias``, ``description``, ``responders``, ``tags``, ``details``, ``entity``, ``source``, ``priority``,
``user``, ``note``; the other actions have ``user``, ``source``, ``note`` and name their alert in the path, so the door
says in headers of its own which action it was and of which alert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, SenderKey, load_object
from app.ingest.rules import fields, values
from app.ingest.rules.severities import P1_TO_P5

ACTION_HEADER = "x-tocsin-action"
"""Which action the path named; without it a body with a message creates."""

KEY_HEADER = "x-tocsin-alias"
"""The alias that the path named or that was chosen for the sender, percent-encoded."""

_ACTIONS = {
    "create": AlertStatus.FIRING,
    "acknowledge": AlertStatus.ACKNOWLEDGED,
    "close": AlertStatus.RESOLVED,
    "notes": AlertStatus.NOTED,
}
ACTIONS = frozenset(_ACTIONS)
_KEY_MAX = 4_096
_PRIORITIES = ("P1", "P2", "P3", "P4", "P5")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of one request.

    Raises:
        ParseError: No JSON object, a required field is missing, or the alert that it names was not known.
    """
    payload = load_object(body) if body.strip() else {}
    action = headers.get(ACTION_HEADER, "create")
    found = faults(payload, action=action)
    if found:
        raise ParseError("body.unexpected_shape", "; ".join(f"{name}: {why}" for name, why in found.items()))
    alias = values.clean_text(unquote(headers.get(KEY_HEADER, "")), limit=_KEY_MAX)
    if action == "create":
        return [_created(payload, alias)]
    if not alias:
        raise ParseError("alert.unknown", "the alert that is named does not exist here")
    # What is spoken of has a title already.
    title = values.one_line(f"Alert {alias}", limit=values.TITLE_MAX)
    return [AlertEvent(dedup_key=alias, status=_ACTIONS[action], title=title, note=_note(payload))]


def faults(payload: Mapping[str, Any], *, action: str) -> dict[str, str]:
    """This will say what is wrong with a request, by field as Opsgenie's answers do; nothing where it can be taken."""
    if action not in _ACTIONS:
        return {"action": "Action is not known."}
    if action == "notes":
        return {} if _note(payload) else {"note": "Note can not be empty."}
    if action != "create":
        return {}
    found = {} if fields.text_at(payload, "message") else {"message": "Message can not be empty."}
    alias = payload.get("alias")
    if alias is not None and not isinstance(alias, str):
        found["alias"] = "Alias must be a string."
    priority = payload.get("priority")
    if priority is not None and priority not in _PRIORITIES:
        found["priority"] = "Priority must be one of [P1, P2, P3, P4, P5]."
    return found


def _created(payload: Mapping[str, Any], alias: str) -> AlertEvent:
    own = payload.get("alias")
    message = fields.text_at(payload, "message", limit=values.TITLE_MAX)
    key = values.clean_text(own, limit=_KEY_MAX) if isinstance(own, str) and own.strip() else alias
    tags = ", ".join(fields.texts_at(payload, "tags"))[: values.LABEL_VALUE_MAX]
    labels = {"entity": fields.text_at(payload, "entity"), "source": fields.text_at(payload, "source"), "tags": tags}
    return AlertEvent(
        dedup_key=key or fields.compound_key("alert", message, labels["entity"]),
        status=AlertStatus.FIRING,
        title=message,
        description=fields.prose_at(payload, "description"),
        raw_severity=fields.text_at(payload, "priority") or "P3",
        labels=fields.said(values.clean_mapping(payload.get("details"))) | fields.said(labels),
        annotations=fields.said({"responders": _responders(payload), "user": fields.text_at(payload, "user")}),
        note=_note(payload),
    )


def _note(payload: Mapping[str, Any]) -> str:
    note = fields.prose_at(payload, "note")
    who = fields.text_at(payload, "user", "source", limit=100)
    return f"{who}: {note}" if who and note else note


def _responders(payload: Mapping[str, Any]) -> str:
    """Who was to be told over there; here the source's own rules decide."""
    found = fields.objects_at(payload, "responders") + fields.objects_at(payload, "teams")
    named = (fields.text_at(one, "name", "username", "id", limit=100) for one in found[:20])
    return ", ".join(name for name in named if name)


SOURCE = AlertSource(
    slug="opsgenie_api",
    title="Senders made for Opsgenie (Alert API)",
    profile="bearer",  # behind /in/; where Opsgenie's own paths are used, the GenieKey header proves the sender
    parse=parse,
    severities={**COMMON_SEVERITIES, **P1_TO_P5},
    example={"message": "A first alert", "alias": "tocsin-test", "priority": "P5"},
    max_body_bytes=524_288,
    document="https://docs.opsgenie.com/docs/alert-api",
    document_date="2026-11",
    setup="Where the sender lets you set Opsgenie's API address, put Tocsin's public URL instead of "
    "https://api.opsgenie.com (the path /v2/alerts stays) and this source's secret as the API key. A key that senders "
    "have already can be brought along as the source's secret.",
    key=SenderKey(
        make=lambda: str(uuid4()),
        pattern=re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        says="a UUID in lower case",
    ),
)
