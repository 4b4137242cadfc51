"""B04 to B12, B19, B22 to B24: documents that are too deep, too wide, no text, or not what they say."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest

from app.incidents.schemas import Severity
from app.ingest.contract import MAX_ALERTS, ParseError
from app.ingest.sources import all_sources
from tests.attacks.pipeline import Pipeline

HUGE_DIGITS = b'{"title":"x","severity":' + b"9" * 100_000 + b"}"


def alertmanager(*alerts: object, **changes: object) -> dict[str, Any]:
    return {"version": "4", "groupKey": "k", "status": "firing", "alerts": list(alerts), **changes}


def alert(**changes: object) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2030-01-07T11:59:00Z", **changes}


REJECTED = {
    "100,000 nested lists": b"[" * 100_000,
    "100,000 nested lists, closed": b"[" * 100_000 + b"]" * 100_000,
    "100,000 nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nan": b'{"title":"x","severity":NaN}',
    "infinity": b'{"title":"x","severity":Infinity}',
    "minus infinity": b'{"title":"x","severity":-Infinity}',
    "two documents": b'{"title":"x"}{"title":"y"}',
    "a byte order mark": b'\xef\xbb\xbf{"title":"x"}',
    "a lone surrogate": b'{"title":"\\ud800"}',
    "a top-level text": b'"title"',
    "a top-level null": b"null",
    "a top-level number": b"17",
    "a top-level true": b"true",
    "nothing": b"",
    "white space": b"  \n ",
    "a python literal": b"{'title': 'x'}",
    "yaml": b"title: x",
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
}


@pytest.mark.attack("B04", "B07", "B09", "B24")
async def test_what_is_no_document_is_rejected_with_its_reason_and_kept(pipeline: Pipeline) -> None:
    """All in one batch: none of them takes a neighbour along, and none fails the job."""
    source = await pipeline.source_of()
    sent = {
        name: await pipeline.accept(source, body, delivery_id=name.replace(" ", "_")) for name, body in REJECTED.items()
    }
    good = await pipeline.accept(source, {"id": "1", "title": "still fine"})
    await pipeline.work()
    for name, receipt_id in sent.items():
        receipt = await pipeline.receipt(receipt_id)
        assert receipt.state == "rejected", f"{name}: {receipt}"
        assert receipt.reason in ("body.not_json", "body.unexpected_shape"), name
        assert len(receipt.detail) <= 500
    assert (await pipeline.receipt(good)).outcomes == {"opened": 1}


@pytest.mark.attack("B04")
@pytest.mark.parametrize("slug", sorted(all_sources()))
def test_depth_costs_no_stack(slug: str) -> None:
    """The deepest that the reader lets through, in every place where a sender may put a value."""
    deep: Any = "x"
    for _ in range(250):
        deep = {"a": [deep]}
    source = all_sources()[slug]
    fields = ("labels", "title", "status", "severity", "startsAt", "request", "id", "description", "subject", "url")
    for shape in (deep, dict.fromkeys(fields, deep), {"request": dict.fromkeys(fields, deep)}, alertmanager(deep)):
        with suppress(ParseError):
            source.parse(json.dumps(shape).encode(), {}, source.config_model())


@pytest.mark.attack("B05")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("generic", orjson.dumps({f"k{number}": number for number in range(60_000)} | {"title": "wide"})),
        ("generic", orjson.dumps({"title": "wide", "labels": {f"l{number}": "v" for number in range(50_000)}})),
        ("alertmanager", orjson.dumps(alertmanager(alert(labels={f"l{n}": "v" for n in range(50_000)})))),
    ],
    ids=["keys", "labels", "alertmanager-labels"],
)
async def test_a_document_that_is_too_wide_is_cut_and_says_so(pipeline: Pipeline, kind: str, body: bytes) -> None:
    receipt = await pipeline.take(await pipeline.source_of(kind=kind), body)
    assert receipt.outcomes == {"opened": 1}
    [stored] = await pipeline.rows("select labels from alerts")
    assert len(stored["labels"]) <= 128
    if b'"l1"' in body:
        assert "50000 labels: the first 64 by name were kept" in receipt.warnings


@pytest.mark.attack("B05")
@pytest.mark.parametrize("kind", ["alertmanager", "generic"])
async def test_too_many_alerts_in_one_body_are_refused_with_their_number(pipeline: Pipeline, kind: str) -> None:
    many = [{"id": str(number)} for number in range(10_000)]
    receipt = await pipeline.take(
        await pipeline.source_of(kind=kind), many if kind == "generic" else alertmanager(*many)
    )
    assert (receipt.state, receipt.reason) == ("rejected", "body.too_many_alerts")
    assert f"10000 alerts in one delivery; at most {MAX_ALERTS}" in receipt.detail
    assert await pipeline.rows("select id from alerts") == []


@pytest.mark.attack("B06")
async def test_of_two_equal_keys_the_last_one_counts_always(pipeline: Pipeline) -> None:
    source = await pipeline.source_of()
    for number in range(3):
        receipt = await pipeline.take(source, b'{"id":"first-%d","title":"a","id":"last-%d"}' % (number, number))
        assert receipt.alerts[0].dedup_key == f"last-{number}"


@pytest.mark.attack("B07")
@pytest.mark.parametrize(
    "body",
    [HUGE_DIGITS, b'{"title":"x","severity":1e400}', b'{"title":"x","timestamp":-1e308,"severity":1e308}'],
    ids=["100,000 digits", "1e400", "1e308"],
)
async def test_numbers_that_no_number_type_holds(pipeline: Pipeline, body: bytes) -> None:
    receipt = await pipeline.take(await pipeline.source_of(), body)
    assert receipt.state in ("processed", "rejected")
    stored = await pipeline.rows("select to_jsonb(a) as row from alerts a")
    assert "Infinity" not in repr(stored)


ODD_TEXT = {
    "nul": "a\x00b",
    "escape": "\x1b[2Jgone\x1b]0;title\x07",
    "lines": "one\r\ntwo\u2028three\u2029four",
    "right-to-left": "\u202egnp.exe\u202c",
    "emoji": "\U0001f525 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "tags": "x\U000e0041\U000e0042",
    "combining": "z" + "\u0301" * 2000,
}


@pytest.mark.attack("B08", "B11", "B12")
@pytest.mark.parametrize("kind", ["generic", "alertmanager", "servicedesk"])
async def test_text_that_no_database_or_terminal_should_see(pipeline: Pipeline, kind: str) -> None:
    source = await pipeline.source_of(kind=kind)
    for name, odd in ODD_TEXT.items():
        body: dict[str, Any] = {
            "id": f"{name}-{odd}",
            "title": odd,
            "description": odd,
            "labels": {odd: odd},
            "severity": odd,
        }
        if kind == "alertmanager":
            body = alertmanager(
                alert(fingerprint=odd, labels={odd: odd, "alertname": odd}, annotations={"summary": odd})
            )
        elif kind == "servicedesk":
            body = {
                "event": odd,
                "request": {"id": f"{name}-{odd}", "subject": odd, "status": odd, "udf_fields": {odd: odd}},
            }
        receipt = await pipeline.take(source, body)
        assert receipt.state == "processed", f"{name}: {receipt.reason} {receipt.detail}"
        assert receipt.outcomes == {"opened": 1}, name
    rows = await pipeline.rows("select title, labels::text as labels from alerts")
    assert rows
    for row in rows:
        assert "\x00" not in row["title"] + row["labels"]
        assert row["title"].isprintable() or row["title"].replace("\u200d", "").isprintable(), repr(row["title"])


@pytest.mark.attack("B08", "B09")
@pytest.mark.parametrize("escaped", [b"\\u0000", b"\\ud800", b"\\udfff\\ud800"], ids=["nul", "surrogate", "swapped"])
async def test_escapes_of_what_cannot_be_stored(pipeline: Pipeline, escaped: bytes) -> None:
    body = b'{"id":"1","title":"a%bb","labels":{"k%b":"v%b"}}' % (escaped, escaped, escaped)
    receipt = await pipeline.take(await pipeline.source_of(), body)
    assert receipt.state in ("processed", "rejected")
    assert (receipt.state == "processed") == (escaped == b"\\u0000")


@pytest.mark.attack("B09")
@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"])
async def test_bytes_that_are_no_utf8(pipeline: Pipeline, raw: bytes) -> None:
    """Overlong, surrogates, beyond the last: signed or not, they are told apart from text before any parser."""
    answer = await pipeline.sender.send(await pipeline.source_of(), b'{"title":"' + raw + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (400, "ingest.malformed")


@pytest.mark.attack("B10")
@pytest.mark.parametrize("kind", ["generic", "alertmanager"])
async def test_a_megabyte_where_a_word_is_due(pipeline: Pipeline, kind: str) -> None:
    long = "ü" * 50_000
    body: object = {"id": long, "title": long, "labels": {long[:1000]: long[:9000]}, "severity": long[:5000]}
    if kind == "alertmanager":
        body = alertmanager(alert(fingerprint=long, labels={"alertname": long}, generatorURL=long))
    source = await pipeline.source_of(kind=kind)
    receipt = await pipeline.take(source, body)
    assert receipt.outcomes == {"opened": 1}
    [row] = await pipeline.rows("select dedup_key, title, labels from alerts")
    assert len(row["title"]) <= 500
    assert row["title"].endswith("…")
    assert row["dedup_key"].startswith("sha256:")
    assert len(row["dedup_key"]) <= 255
    assert all(len(name) <= 128 and len(value) <= 1024 for name, value in row["labels"].items())
    # The same again is the same alert, cut or not.
    again = await pipeline.take(source, json.dumps(body, indent=1).encode())
    assert again.outcomes == {"bumped": 1}


@pytest.mark.attack("B19")
async def test_names_that_look_like_instructions_to_a_parser_are_names(pipeline: Pipeline) -> None:
    body = {
        "id": "1",
        "title": "x",
        "files[0].filepath": "/etc/passwd",
        "__proto__": {"admin": True},
        "constructor": {"prototype": {"admin": True}},
        "$ref": "file:///etc/passwd",
        "@type": "java.lang.Runtime",
        "!!python/object": "os.system",
        "tenant_id": "00000000-0000-0000-0000-000000000000",
    }
    receipt = await pipeline.take(await pipeline.source_of(), {**body, "labels": body})
    assert receipt.outcomes == {"opened": 1}
    [row] = await pipeline.rows("select tenant_id, labels from alerts")
    assert row["tenant_id"] == pipeline.tenant_id
    assert row["labels"]["files[0].filepath"] == "/etc/passwd"


TIMES = ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2030-01-01T00:00:00+99:99", "now"]
NUMBERS = [0, -1, 1_767_614_400_000, 10**25, 1.5e300, True, [], {}, None, "", "1767614400"]


@pytest.mark.attack("B22")
@pytest.mark.parametrize("kind", ["generic", "alertmanager", "servicedesk"])
async def test_times_that_no_calendar_holds(pipeline: Pipeline, kind: str) -> None:
    source = await pipeline.source_of(kind=kind)
    for number, odd in enumerate([*TIMES, *NUMBERS]):
        body: dict[str, Any] = {"id": str(number), "title": "x", "timestamp": odd}
        if kind == "alertmanager":
            body = alertmanager(alert(fingerprint=str(number), startsAt=odd, endsAt=odd))
        elif kind == "servicedesk":
            body = {"event": "created", "request": {"id": str(number), "created_time": odd, "last_updated_time": odd}}
        receipt = await pipeline.take(source, body)
        assert receipt.outcomes == {"opened": 1}, f"{odd!r}: {receipt}"
    for row in await pipeline.rows("select started_at, last_event_at from alerts"):
        assert all(1980 <= value.year <= 2030 for value in row.values() if value is not None)
    bodies = [row["body"] for row in await pipeline.rows("select body from deliveries")]
    assert any(b"+99:99" in body for body in bodies), "what was sent is kept as it was sent"


@pytest.mark.attack("B23")
@pytest.mark.parametrize("odd", ["catastrophic", None, [], {}, {"name": 1}, ["P0"], 99, True, "P9"])
async def test_a_severity_or_status_that_is_none(pipeline: Pipeline, odd: object) -> None:
    source = await pipeline.source_of(default_severity=Severity.P3)
    receipt = await pipeline.take(source, {"id": "1", "title": "x", "severity": odd, "status": odd})
    assert receipt.outcomes == {"opened": 1}
    [row] = await pipeline.rows("select severity, warnings from alerts")
    assert row["severity"] == "P3"
    if odd:
        assert row["warnings"], "the tenant is not told"


@pytest.mark.attack("B24")
async def test_a_list_is_taken_where_the_kind_allows_one(pipeline: Pipeline) -> None:
    taken = await pipeline.take(await pipeline.source_of(), [{"id": "1", "title": "a"}, {"id": "2", "title": "b"}])
    assert taken.outcomes == {"opened": 2}
    refused = await pipeline.take(await pipeline.source_of(kind="alertmanager"), [alert()])
    assert (refused.state, refused.reason) == ("rejected", "body.unexpected_shape")
