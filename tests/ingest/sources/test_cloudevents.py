"""CloudEvents 1.0 by its rules: modes, header values, what makes an event none, and one bad event among good ones."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.contract import Events, ParseError
from app.ingest.sources.cloudevents import CloudEventsConfig, parse
from tests.contracts.test_sources import JSON, assert_clean
from tests.factories.ingest import Sender, committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs

EVENT = {"specversion": "1.0", "id": "1", "source": "/a", "type": "com.example.disk.full", "subject": "db-1"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
BINARY = {f"ce-{name}": value for name, value in EVENT.items()}


def structured(**changes: Any) -> Events:
    event = {name: value for name, value in (EVENT | changes).items() if value is not ...}
    return parse(orjson.dumps(event), {"content-type": "application/cloudevents+json"}, CloudEventsConfig())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"specversion": ...}, "specversion is missing"),
        ({"specversion": "1.1"}, "specversion is '1.1'"),
        ({"specversion": 1.0}, "specversion is '1.0'; it must be '1.0'"),
        ({"id": ...}, "id is required"),
        ({"id": ""}, "id is required and a text that is not empty"),
        ({"id": 7}, "id is required and a text"),
        ({"source": ...}, "source is required"),
        ({"type": None}, "type is required"),
        ({"data": 1, "data_base64": "MQ=="}, "only one of them"),
    ],
)
def test_what_makes_an_event_none_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParseError, match=said) as raised:
        structured(**changes)
    assert raised.value.code == "event.invalid"


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("plain", "plain"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the specification's own example, section 3.1.3.2
        ('"quoted \\"text\\""', 'quoted "text"'),
        ("100%", "100%"),
        ("%ff", "\ufffd"),
        ("%0d%0ainjected", "injected"),
    ],
)
def test_header_values_are_decoded(value: str, decoded: str) -> None:
    (event,) = parse(b"{}", {**BINARY, "ce-subject": value, "content-type": "application/json"}, CloudEventsConfig())
    assert event.title == decoded
    assert "\n" not in event.title


def test_the_three_modes_give_the_same_alert() -> None:
    data = {"title": "Disk of db-1 is full", "severity": "high"}
    binary = parse(orjson.dumps(data), {**BINARY, "content-type": "application/json"}, CloudEventsConfig())
    batch = parse(orjson.dumps([EVENT | {"data": data}]), BATCH, CloudEventsConfig())
    assert list(structured(data=data)) == list(batch) == list(binary)


def test_a_bad_event_costs_its_neighbours_nothing() -> None:
    events = parse(orjson.dumps([EVENT, {"id": "2"}, 7, EVENT | {"subject": "db-2"}]), BATCH, CloudEventsConfig())
    assert [event.labels["subject"] for event in events] == ["db-1", "db-2"]
    assert [note.partition(":")[0] for note in events.notes] == ["no alert"] * 2
    assert "event 2 is left out" in events.notes[0]


def test_a_batch_of_bad_events_is_refused() -> None:
    with pytest.raises(ParseError, match="specversion is missing"):
        parse(orjson.dumps([{"id": "2"}, {}]), BATCH, CloudEventsConfig())
    with pytest.raises(ParseError, match="a batch is a list"):
        parse(orjson.dumps(EVENT), BATCH, CloudEventsConfig())
    with pytest.raises(ParseError, match="at most 2000"):
        parse(orjson.dumps([EVENT] * 2001), BATCH, CloudEventsConfig())


@pytest.mark.parametrize("media", ["application/json", "", "application/cloudevents+json; charset=utf-8"])
def test_structured_events_are_taken_under_the_types_that_senders_use(media: str) -> None:
    assert len(parse(orjson.dumps(EVENT), {"content-type": media} if media else {}, CloudEventsConfig())) == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("com.example.disk.full", "firing"),
        ("com.example.disk.resolved", "resolved"),
        ("com.example.disk.resolved.v1", "resolved"),
        ("com.example.disk.Acknowledged", "acknowledged"),
        ("resolved", "resolved"),
        ("com.example.resolved.disk", "firing"),
    ],
)
def test_the_last_word_of_the_type_is_the_state(kind: str, status: str) -> None:
    (event,) = structured(type=kind)
    assert event.status.value == status


def test_the_identity_is_not_the_events_own_id() -> None:
    (first,), (again,), (other,) = structured(id="1"), structured(id="2"), structured(subject="db-2")
    assert first.dedup_key == again.dedup_key != other.dedup_key


def test_data_that_lies_about_itself_is_left_out_and_said() -> None:
    (event,) = structured(data_base64="***")
    assert event.warnings == ("data_base64 is not base64: the data was left out",)
    (event,) = structured(data_base64="e30x", datacontenttype="application/json")
    assert event.warnings[0].startswith("the data is not JSON")


HEADERS = st.dictionaries(
    st.sampled_from(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-x", "ce-data", "content-type"]),
    st.one_of(
        st.sampled_from(["1.0", "application/json", "text/plain", "application/cloudevents+json", '"']), st.text()
    ),
)


@given(headers=HEADERS, body=st.one_of(st.binary(max_size=80), JSON.map(orjson.dumps)))
def test_any_headers_and_bytes_give_clean_events_or_a_parse_error(headers: dict[str, str], body: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert_clean(parse(body, headers, CloudEventsConfig()))


@given(changes=st.dictionaries(st.sampled_from([*EVENT, "data", "data_base64", "time", "dataschema", "x", "Y"]), JSON))
def test_any_values_in_an_event_give_clean_events_or_a_parse_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ParseError):
        assert_clean(structured(**changes))


async def test_a_binary_event_goes_through_the_real_door(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database
) -> None:
    """Its attributes are headers, and the door keeps only some of those."""
    tenant_id = await make_tenant(scratch_database)
    created = await committed_source(scratch_resources, tenant_id, kind="cloudevents")
    headers = {**BINARY, "content-type": "application/json", "authorization": f"Bearer {created.secret}"}
    answer = await scratch_sender.client.post(created.url_path, content=b'{"severity": "critical"}', headers=headers)
    assert answer.status_code == 202
    xml = await scratch_sender.client.post(
        created.url_path, content=b"<a/>", headers=headers | {"content-type": "application/cloudevents+xml"}
    )
    assert xml.status_code == 415
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant_id) as session:
        (found,) = (await session.execute(text("select title, severity, labels from incidents"))).all()
    assert (found.title, found.severity) == ("db-1", "P1")
    assert found.labels == {"source": "/a", "subject": "db-1", "type": "com.example.disk.full"}
