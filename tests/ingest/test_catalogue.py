"""The attack catalogue's parsing cases, by their numbers, against the parsers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.incidents.schemas import AlertEvent
from app.ingest.contract import MAX_ALERTS, ParseError
from app.ingest.rules import values
from app.ingest.sources import all_sources
from app.ingest.sources.generic import GenericConfig
from app.ingest.sources.generic.expressions import EXPRESSION_MAX, InvalidExpression, compile_expression
from tests.fixtures.cost import processor_seconds


def parse(slug: str, payload: Any, **config: Any) -> list[AlertEvent]:
    source = all_sources()[slug]
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return source.parse(body, {}, source.config_model.model_validate(config))


def one_alert(**alert: Any) -> AlertEvent:
    payload = {"version": "4", "groupKey": "k", "alerts": [{"status": "firing", "fingerprint": "f"} | alert]}
    [event] = parse("alertmanager", payload)
    return event


@pytest.mark.parametrize("slug", list(all_sources()))
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="B04-nested-arrays"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="B04-nested-objects"),
        pytest.param(b'{"id": 1e400}', id="B07-1e400"),
        pytest.param(b'{"id": NaN}', id="B07-nan"),
        pytest.param(b'{"id": -Infinity}', id="B07-infinity"),
        pytest.param(b'{"id": ' + b"9" * 100_000 + b"}", id="B07-endless-number"),
        pytest.param(b'{"id": "\xc0\x80"}', id="B09-overlong-utf8"),
        pytest.param(b'{"id": "\\ud800"}', id="B09-lone-surrogate"),
        pytest.param(b"\xef\xbb\xbf{}", id="B09-bom"),
        pytest.param(b"", id="B24-empty"),
        pytest.param(b"null", id="B24-null"),
        pytest.param(b'"text"', id="B24-string"),
        pytest.param(b"<xml/>", id="B17-xml"),
    ],
)
def test_what_is_no_payload_is_a_parse_error_and_soon(slug: str, body: bytes) -> None:

    def refused() -> None:
        with pytest.raises(ParseError):
            parse(slug, body)

    assert processor_seconds(refused, tries=1) < 0.5


def test_b05_many_labels_are_cut_with_a_warning() -> None:
    event = one_alert(labels={f"label_{i:05}": "x" for i in range(50_000)})
    assert len(event.labels) == values.LABELS_MAX
    assert any("50000 labels" in warning for warning in event.warnings)


@pytest.mark.parametrize("slug", ["alertmanager", "generic"])
def test_b05_too_many_alerts_are_refused_with_their_number(slug: str) -> None:
    alerts = [{"title": "x"}] * 10_000
    with pytest.raises(ParseError, match="10000 alerts") as refused:
        parse(slug, {"alerts": alerts} if slug == "alertmanager" else alerts)
    assert refused.value.code == "body.too_many_alerts"
    at_most = alerts[:MAX_ALERTS]
    assert len(parse(slug, {"alerts": at_most} if slug == "alertmanager" else at_most)) == MAX_ALERTS


def test_b06_of_two_equal_keys_the_last_wins() -> None:
    [event] = parse("generic", b'{"id": 1, "id": 2, "title": "x"}')
    assert event.dedup_key == "2"


def test_b08_nul_is_replaced_in_names_and_values() -> None:
    event = one_alert(labels={"a\x00b": "c\x00d"}, annotations={"summary": "e\x00f"}, fingerprint="g\x00h")
    assert event.labels == {"a\ufffdb": "c\ufffdd"}
    assert "\x00" not in event.title + event.dedup_key


def test_b10_long_texts_are_cut_by_code_points_with_a_mark() -> None:
    event = one_alert(labels={"l": "\U0001f525" * 1_000_000}, annotations={"summary": "é" * 1_000_000})
    assert event.labels["l"] == "\U0001f525" * (values.LABEL_VALUE_MAX - 1) + "…"
    assert len(event.title) == values.TITLE_MAX
    assert event.title.endswith("…")


def test_b11_a_title_is_one_line_without_control_characters() -> None:
    event = one_alert(annotations={"summary": "a\r\nSet-Cookie: x\u2028b\x1b[2Jc\x00d"})
    assert event.title == "a Set-Cookie: x b [2Jc\ufffdd"


@pytest.mark.parametrize(
    "said",
    [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-01-05T11:58:00+99:99",
        "0001-01-01T00:00:00Z",
        "soon",
        "1" * 60,
        "",
        None,
        [],
        {},
        True,
        -(10**30),
        1e300,
        2**63,
    ],
)
def test_b22_odd_times_are_no_time(said: object) -> None:
    assert values.parse_time(said) is None


@pytest.mark.parametrize(
    "said",
    [
        1_772_446_500,
        1_772_446_500_000,
        1_772_446_500_000_000,
        "1772446500000",
        "2026-03-02T10:15:00Z",
        "2026-03-02T12:15:00+02:00",
        "2026-03-02T10:15:00.000000000Z",
        "2026-03-02 10:15:00",
    ],
)
def test_b22_seconds_milliseconds_and_offsets_are_one_instant(said: object) -> None:
    found = values.parse_time(said)
    assert found is not None
    assert found.isoformat() == "2026-03-02T10:15:00+00:00"


@pytest.mark.parametrize("said", [None, [], {}, 7, "FIRING!", True])
def test_b23_an_unknown_status_is_not_dropped(said: object) -> None:
    event = one_alert(status=said)
    assert event.status == "firing"
    assert event.warnings


@pytest.mark.parametrize("said", [None, ["x"], {"a": 1}, "sev-nine"])
def test_b23_an_unknown_severity_is_left_to_the_default(said: object) -> None:
    [event] = parse("generic", {"id": 1, "title": "x", "severity": said})
    assert event.severity is None


def test_b26_the_order_of_labels_does_not_matter() -> None:
    first = one_alert(labels={"a": "1", "b": "2"}, fingerprint="")
    second = one_alert(labels={"b": "2", "a": "1"}, fingerprint="")
    shifted = one_alert(labels={"a": "12", "b": ""}, fingerprint="")
    assert first.dedup_key == second.dedup_key != shifted.dedup_key


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("[@,@][] | " * 20 + "@", id="doubling"),
        pytest.param("[@,@] | [@,@] | [@,@] | @", id="sharing"),
        pytest.param("to_string(@)", id="writing-out"),
        pytest.param("sort_by(@, &a)", id="by-expression"),
        pytest.param("a" * (EXPRESSION_MAX + 1), id="long"),
        pytest.param("join('', [join('', [join('', [@,@]),@]),@])", id="nested-joins"),
        pytest.param("a.", id="half"),
    ],
)
def test_b16_an_expression_that_could_explode_is_not_saved(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_expression(expression)


def test_b16_a_mapping_has_a_budget_for_the_whole_delivery() -> None:
    body = {"rows": [{"cells": list(range(200))} for _ in range(1500)]}
    config = GenericConfig(items="rows", title="cells[?@ > `5`] | [0]", dedup=("cells[?@ == `1`]",))

    def refused() -> None:
        with pytest.raises(ParseError, match="steps") as error:
            all_sources()["generic"].parse(orjson.dumps(body), {}, config)
        assert error.value.code == "mapping.failed"

    assert processor_seconds(refused, tries=1) < 5


def test_b16_a_list_or_text_that_grows_is_stopped() -> None:
    wide = {"rows": [[{"a": 1}] * 300 for _ in range(100)]}
    with pytest.raises(ParseError, match="list of more than"):
        parse("generic", wide, items="rows[]")
    long = {"parts": ["x" * 20_000] * 100}
    with pytest.raises(ParseError, match="text of more than"):
        parse("generic", long, title="join('', parts)")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "http://", "//x/y", "http://a b", "ftp://x/"]
)
def test_d18_only_web_links_are_kept(url: str) -> None:
    [event] = parse("generic", {"id": 1, "title": "x", "url": url})
    assert event.links == ()
