"""Whatever is sent: a documented answer, and what was accepted is what the parser understands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import cache
from typing import Any, cast
from urllib.parse import quote

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.core.resources import Resources
from app.db.engine import Database
from app.ingest.contract import NoConfig, ParseError
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.dropin.app import DropInApp
from app.ingest.dropin.opsgenie import OpsgenieDoor, identifier_type, read_path
from app.ingest.dropin.pagerduty import PagerDutyDoor, key_faults, without_key
from app.ingest.dropin.routes import find_route
from app.ingest.known_sources import KnownSource
from app.ingest.schemas import Stored
from app.ingest.sources import get_source
from app.net.signing import SignedRequest, Strength, Verified
from app.settings import Settings

TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["trigger", "acknowledge", "resolve", "critical", "P1", " ", "\x00", "\u2028", "a" * 600, "../..", "%2f"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=10,
)


def record(**named: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields, each as it should be or anything."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(kind, JSON) for name, kind in named.items()})


EVENTS = record(
    routing_key=TEXTS,
    service_key=TEXTS,
    event_action=st.sampled_from(["trigger", "acknowledge", "resolve"]),
    event_type=st.sampled_from(["trigger", "acknowledge", "resolve"]),
    dedup_key=TEXTS,
    incident_key=TEXTS,
    description=TEXTS,
    payload=record(summary=TEXTS, source=TEXTS, severity=st.sampled_from(["critical", "info"]), timestamp=TEXTS),
    links=st.lists(record(href=TEXTS, text=TEXTS), max_size=3),
    images=JSON,
    client=TEXTS,
    client_url=TEXTS,
)
REQUESTS = record(
    message=TEXTS,
    alias=TEXTS,
    priority=st.sampled_from(["P1", "P5"]),
    note=TEXTS,
    user=TEXTS,
    details=JSON,
    responders=JSON,
    tags=JSON,
)
PAGERDUTY_PATHS = ["/v2/enqueue", "/v2/change/enqueue", "/generic/2010-04-15/create_event.json"]
VERDICT = Verified(Strength.TOKEN, None, False, None, b"k", timedelta(0), "s")


class Deliveries:
    """Remembers what it is given instead of storing it."""

    gate = None

    def __init__(self) -> None:
        self.kept: list[SignedRequest] = []

    async def store(self, source: object, verdict: object, request: SignedRequest, body: bytes, **more: Any) -> Stored:
        self.kept.append(request)
        return Stored(more["delivery_id"], False, None)


@cache
def without_database() -> Resources:
    resources = Resources()
    resources.provide(Settings, Settings())
    resources.provide(Database, cast("Database", None))
    return resources


def understood(kind: str, kept: list[SignedRequest]) -> None:
    """Parse what was stored, as the worker does."""
    for request in kept:
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        try:
            events = get_source(kind).parse(request.body, headers, NoConfig())
        except ParseError as error:
            assert error.code == "alert.unknown"  # noqa: PT017 - the one thing that a door cannot see
            continue
        assert all(event.dedup_key and event.title for event in events)


@given(event=st.one_of(EVENTS, JSON), path=st.sampled_from(PAGERDUTY_PATHS))
def test_any_event_is_answered_as_documented_and_understood_if_accepted(event: object, path: str) -> None:
    deliveries = Deliveries()
    door = PagerDutyDoor(cast("DeliveryDoor", deliveries), retry_after_s=1)
    request = SignedRequest("POST", f"/in/{'a' * 26}{path}", b"", [], orjson.dumps(event))
    answer = asyncio.run(door.take(cast("KnownSource", None), VERDICT, request))
    said = orjson.loads(answer.body)
    assert answer.status in (200, 202, 400)
    if answer.status == 400:
        assert (said["status"], deliveries.kept) == ("invalid event", [])
        assert said["errors"]
    else:
        assert said["status"] == "success"
        understood("pagerduty_events", deliveries.kept)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_no_event_or_one(body: bytes) -> None:
    door = PagerDutyDoor(cast("DeliveryDoor", Deliveries()), retry_after_s=1)
    request = SignedRequest("POST", "/in/a/v2/enqueue", b"", [], body)
    assert asyncio.run(door.take(cast("KnownSource", None), VERDICT, request)).status in (202, 400)


@given(
    event=EVENTS,
    key=st.text("0123456789abcdef", min_size=32, max_size=32),
    where=st.sampled_from(["dedup_key", "client"]),
)
def test_a_key_is_in_nothing_that_is_kept(event: dict[str, Any], key: str, where: str) -> None:
    event |= {"routing_key": key, where: f"see {key}"}
    assert key_faults(event, "routing_key") == []
    kept = without_key(orjson.dumps(event), event)
    assert kept is not None
    assert key.encode() not in kept
    orjson.loads(kept)


@given(
    body=st.one_of(REQUESTS.map(orjson.dumps), JSON.map(orjson.dumps), st.binary(max_size=100)),
    alias=TEXTS,
    action=st.sampled_from(["", "close", "acknowledge", "notes", "snooze"]),
)
def test_any_request_is_answered_as_documented_and_understood_if_accepted(body: bytes, alias: str, action: str) -> None:
    deliveries, resources = Deliveries(), Resources()
    resources.provide(Settings, Settings())
    resources.provide(Database, cast("Database", None))
    door = OpsgenieDoor(resources, cast("DeliveryDoor", deliveries))
    path = f"/in/{'a' * 26}/v2/alerts" + (f"/{quote(alias, safe='')}/{action}" if action else "")
    request = SignedRequest("POST", path, b"identifierType=alias", [], body)
    answer = asyncio.run(door.take(cast("KnownSource", None), VERDICT, request))
    said = orjson.loads(answer.body)
    assert answer.status in (202, 400, 404, 422)
    assert {"took", "requestId"} <= set(said)
    if answer.status == 202:
        understood("opsgenie_api", deliveries.kept)
    else:
        assert said["message"]
        assert deliveries.kept == []


@given(
    path=st.text(max_size=60), method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]), query=st.binary(max_size=60)
)
def test_any_path_leads_somewhere_or_nowhere(path: str, method: str, query: bytes) -> None:
    for prefix in ("", "/v2/alerts/", "/v2/heartbeats/", "/integrations/v1/formatted_webhook/"):
        route = find_route(prefix + path)
        if route is not None:
            assert DropInApp.serves(prefix + path)
    read_path(method, f"/in/a/v2/alerts/{path}")
    assert identifier_type(query) in (None, "id", "alias", "tiny")
