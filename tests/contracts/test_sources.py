"""Every alert source against its samples: ``samples/<case>.json`` must give exactly ``samples/<case>.expected.json``.

A sample is the body as it is sent, or an object with ``"sample"``: the body as JSON under ``body`` or as text under
``raw`` (forms, mail), and, where they matter, ``headers`` (lower case) and ``config``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, Events, ParseError
from app.ingest.rules import values
from app.ingest.sources import all_sources
from app.net.signing.shipped import shipped_profiles

FOLDER = Path(values.__file__).resolve().parents[1] / "sources"


def cases() -> Iterator[Any]:
    for slug in all_sources():
        for sample in sorted((FOLDER / slug / "samples").glob("*.json")):
            if not sample.name.endswith(".expected.json"):
                yield pytest.param(all_sources()[slug], sample, id=f"{slug}-{sample.stem}")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a sample file holds."""

    body: bytes
    headers: dict[str, str]
    config: Any


def read_sample(source: AlertSource, raw: bytes) -> Sample:
    """Unwrap a sample file."""
    found = orjson.loads(raw)
    if not isinstance(found, dict) or "sample" not in found:
        return Sample(raw, {}, source.config_model())
    assert set(found) <= {"sample", "body", "raw", "headers", "config"}
    assert ("body" in found) != ("raw" in found)
    body = found["raw"].encode() if "raw" in found else orjson.dumps(found["body"])
    return Sample(body, found.get("headers", {}), source.config_model.model_validate(found.get("config", {})))


def shown(event: AlertEvent) -> dict[str, Any]:
    """What differs from an empty event, as JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value

    found = {}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if value not in (None, "", (), {}):
            found[field.name] = [plain(item) for item in value] if isinstance(value, tuple) else plain(value)
    return found


def outcome(source: AlertSource, raw: bytes) -> Any:
    sample = read_sample(source, raw)
    try:
        return [shown(event) for event in source.parse(sample.body, sample.headers, sample.config)]
    except ParseError as error:
        return {"error": error.code, "detail": error.detail}


@pytest.mark.parametrize(("source", "sample"), list(cases()))
def test_a_sample_gives_what_is_expected(source: AlertSource, sample: Path) -> None:
    expected = sample.with_suffix(".expected.json")
    assert orjson.loads(orjson.dumps(outcome(source, sample.read_bytes()))) == orjson.loads(expected.read_bytes())


# Nothing was sent: the receipt says that the delivery carries no alerts.
EMPTY = {"alertmanager-no_alerts", "prometheus-empty_list", "generic-empty_list", "cloudevents-empty_batch"}


@pytest.mark.parametrize(("source", "sample"), list(cases()))
def test_what_no_alert_is_made_of_is_told(source: AlertSource, sample: Path) -> None:
    """A test of the sender, or what a tenant did not mean to send: the receipt is where they look for the reason."""
    read = read_sample(source, sample.read_bytes())
    try:
        events = source.parse(read.body, read.headers, read.config)
    except ParseError:
        return
    if not events and f"{source.slug}-{sample.stem}" not in EMPTY:
        assert isinstance(events, Events)
        assert events.notes


@pytest.mark.parametrize("slug", list(all_sources()))
def test_a_source_is_complete(slug: str) -> None:
    source = all_sources()[slug]
    assert source.title
    assert source.setup, "say where in the sender the address and the credential go"
    assert source.document.startswith("https://"), "name the vendor's page"
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", source.document_date)
    assert source.profile in shipped_profiles()
    assert source.config_model(), "the default configuration must be usable"
    samples = [path for path in (FOLDER / slug / "samples").glob("*.json") if not path.name.endswith(".expected.json")]
    assert len(samples) >= 3
    outcomes = [outcome(source, path.read_bytes()) for path in samples]
    assert any(isinstance(found, list) and found for found in outcomes)
    assert any(isinstance(found, dict) for found in outcomes), "a refused sample belongs to the set"


TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["firing", "resolved", "0001-01-01T00:00:00Z", "2026-01-05T10:00:00+99:99", "9" * 30, "\x00", "${id}"]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=12), inner, max_size=6)),
    max_leaves=20,
)
ALERT = st.fixed_dictionaries(
    {},
    optional={
        name: JSON
        for name in (
            *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"),
            *("id", "title", "subject", "description", "requester", "priority", "severity", "created_time", "url"),
        )
    },
)
PAYLOAD = st.fixed_dictionaries(
    {},
    optional={
        "alerts": st.one_of(JSON, st.lists(st.one_of(ALERT, JSON), max_size=4)),
        "request": st.one_of(ALERT, JSON),
        "version": JSON,
        "status": JSON,
        "groupLabels": JSON,
        "truncatedAlerts": JSON,
        "event": JSON,
        **{name: JSON for name in ("id", "title", "labels", "timestamp", "severity", "url", "externalURL")},
    },
)


def assert_clean(events: list[AlertEvent]) -> None:
    for event in events:
        assert event.dedup_key
        assert 0 < len(event.title) <= values.TITLE_MAX
        assert "\n" not in event.title
        assert len(event.description) <= values.DESCRIPTION_MAX
        assert len(event.labels) <= values.LABELS_MAX
        for text in (event.dedup_key, event.title, event.description, *event.labels, *event.labels.values()):
            assert "\x00" not in text
            text.encode()  # no lone surrogate: PostgreSQL and every log take it
        for moment in (event.event_time, event.starts_at, event.ends_at):
            assert moment is None or moment.utcoffset() is not None
        assert all(link.url.startswith(("http://", "https://")) for link in event.links)


@pytest.mark.parametrize("slug", list(all_sources()))
@given(payload=st.one_of(PAYLOAD, JSON))
def test_any_json_gives_clean_events_or_a_parse_error(slug: str, payload: Any) -> None:
    source = all_sources()[slug]
    try:
        events = source.parse(orjson.dumps(payload), {}, source.config_model())
    except ParseError:
        return
    assert isinstance(events, list)
    assert_clean(events)


@pytest.mark.parametrize("slug", list(all_sources()))
@given(
    body=st.one_of(
        st.binary(max_size=200), st.sampled_from([b"", b"[" * 200_000, b'{"a":' * 2000, b"\xff\xfe", b"1e999"])
    )
)
def test_any_bytes_give_a_list_or_a_parse_error(slug: str, body: bytes) -> None:
    source = all_sources()[slug]
    with contextlib.suppress(ParseError):
        assert isinstance(source.parse(body, {}, source.config_model()), list)


def paths(node: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document something can be put in the place of something else."""
    yield here
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in pairs:
        yield from paths(inner, (*here, key))


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with ``value`` at ``path``."""
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = replaced(node[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("slug", list(all_sources()))
@given(data=st.data())
def test_a_sample_with_any_value_in_any_place_gives_clean_events_or_a_parse_error(
    slug: str, data: st.DataObject
) -> None:
    source = all_sources()[slug]
    files = sorted(path for path in (FOLDER / slug / "samples").glob("*.json") if ".expected" not in path.name)
    sample = read_sample(source, data.draw(st.sampled_from(files)).read_bytes())
    try:
        document = orjson.loads(sample.body)
    except orjson.JSONDecodeError:
        text = sample.body.decode()
        at = data.draw(st.integers(0, len(text)))
        body = (text[:at] + data.draw(st.text(max_size=20)) + text[at:]).encode("utf-8", "replace")
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            places = list(paths(document))
            document = replaced(document, data.draw(st.sampled_from(places)), data.draw(JSON))
        body = orjson.dumps(document)
    try:
        events = source.parse(body, sample.headers, sample.config)
    except ParseError:
        return
    assert_clean(events)
