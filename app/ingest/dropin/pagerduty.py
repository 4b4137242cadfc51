"""PagerDuty's Events API behind a source: ``v2/enqueue``, ``v2/change/enqueue``, ``generic/2010-04-15/create_event.json``.

Source: developer.pagerduty.com, "Events API v2 Overview" (response codes, size limit) and "Send a v1 Event", read
2026-11. Accepted is 202 (version 1: 200), an invalid event 400 with ``status``, ``message`` and ``errors``; what
clients try again is 429 and 5xx, and overload is 503 here for each version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.core.errors import Unavailable
from app.core.ids import new_id
from app.ingest import answers
from app.ingest.answers import Answer
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.dropin.stored import keep
from app.ingest.known_sources import KnownSource
from app.ingest.sources.pagerduty_events import CHANGE_HEADER, KEY_HEADER, faults, is_first_version
from app.net.signing import SignedRequest, Verified

KIND = "pagerduty_events"
KEY_FIELDS = ("routing_key", "service_key")
_SHORTEST_KEY = 24
CHANGE = "v2/change/enqueue"


def invalid(errors: list[str], *, message: str = "Event object is invalid") -> Answer:
    """This will say that an event cannot be taken, as PagerDuty does."""
    body = {"status": "invalid event", "message": message, "errors": errors}
    return answers.json_answer(400, body, "malformed")


INVALID_JSON = invalid(
    ["The request body is not a JSON object."], message="Event object format is unrecognized: not JSON"
)
UNKNOWN_KEY = invalid(["Invalid routing key"], message="Invalid routing key")


class PagerDutyDoor:
    """Takes events of whoever has proved to be the source's sender."""

    methods = frozenset({"POST"})

    def __init__(self, deliveries: DeliveryDoor, *, retry_after_s: int) -> None:
        self._deliveries = deliveries
        self.gate = deliveries.gate
        self._overloaded = answers.overloaded(retry_after_s)

    def serves(self, source: KnownSource) -> bool:
        """This will say that only sources of this kind have the door."""
        return source.kind == KIND

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will check the event, store it and answer with its key, once it is committed."""
        event = read_event(request.body)
        if event is None:
            return INVALID_JSON
        change = request.path.endswith(CHANGE)
        errors = faults(event, change=change)
        if errors:
            return invalid(errors)
        first = is_first_version(event) and not change
        named = event.get("incident_key" if first else "dedup_key")
        is_named = isinstance(named, str) and bool(named.strip())
        body = without_key(request.body, event)
        if body is None:
            return INVALID_JSON
        delivery_id = new_id()
        try:
            stored = await keep(
                self._deliveries,
                source,
                verdict,
                request,
                body=body,
                delivery_id=delivery_id,
                headers=({CHANGE_HEADER: "true"} if change else {})
                | ({} if is_named else {KEY_HEADER: delivery_id.hex}),
                once=not is_named,
            )
        except Unavailable:
            return self._overloaded
        key = named if is_named else stored.receipt_id.hex
        return _accepted(key, first=first, change=change, duplicate=stored.duplicate)


def read_event(body: bytes) -> dict[str, Any] | None:
    """This will return the body's JSON object, None for everything else."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def key_field(event: Mapping[str, Any], path: str) -> str:
    """This will return the name of the field in which the key belongs: version 1 has another one for it."""
    return "service_key" if is_first_version(event) and not path.endswith(CHANGE) else "routing_key"


def key_faults(event: Mapping[str, Any], name: str) -> list[str]:
    """This will say what is wrong with the key in a field as such, which needs no knowledge of any key."""
    key = event.get(name)
    if not isinstance(key, str) or not key:
        return [f"'{name}' is missing or blank"]
    found = [] if len(key) == 32 else [f"Length of '{name}' is incorrect (should be 32 characters)"]
    return (
        found if key.isascii() and key.isalnum() else [*found, f"'{name}' cannot contain non-alphanumeric characters."]
    )


def without_key(body: bytes, event: Mapping[str, Any]) -> bytes | None:
    """This will return the body with the key masked, wherever it stands in it: a delivery is read by people.

    None where that cannot be done, as with an event that is nested deeper than anybody's.
    """
    named = [event.get(name) for name in KEY_FIELDS]
    # Behind a source's own address anything may stand there; what is too short for a key is none, and would mask the rest.
    keys = [value.encode() for value in named if isinstance(value, str) and len(value) >= _SHORTEST_KEY]
    if b"\\u" in body:
        # With letters written as escapes there may be spellings of the key that no search finds: written anew there are none.
        try:
            body = orjson.dumps(event)
        except orjson.JSONEncodeError:
            return None
    for key in keys:
        body = body.replace(key, b"*" * len(key))
    return body


def _accepted(key: object, *, first: bool, change: bool, duplicate: bool) -> Answer:
    outcome = "duplicate" if duplicate else "accepted"
    if change:
        return answers.json_answer(202, {"status": "success", "message": "Change event processed"}, outcome)
    said = {"status": "success", "message": "Event processed", "incident_key" if first else "dedup_key": key}
    return answers.json_answer(200 if first else 202, said, outcome)
