"""A tenant's expressions: what they may do, what they may not cost, and what is said when they are wrong."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.incidents.schemas import AlertStatus
from app.ingest.contract import Events, ParseError
from app.ingest.sources.generic import GenericConfig, parse
from app.ingest.sources.generic.expressions import Evaluator
from app.ingest.sources.generic.functions import ARGUMENTS, MappingFunctions
from app.ingest.sources.generic.regexes import InvalidPattern, compile_pattern
from app.ingest.sources.generic.templates import render


def mapped(document: Any, headers: dict[str, str] | None = None, **config: Any) -> Events:
    return parse(orjson.dumps(document), headers or {}, GenericConfig.model_validate(config))


def fault(**config: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as raised:
        GenericConfig.model_validate(config)
    (first, *_) = raised.value.errors(include_url=False, include_input=False)
    return ".".join(map(str, first["loc"])), first["msg"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("match(t, 'b+')", True),
        ("match(t, '^b')", False),
        ("match(nothing, 'b')", None),
        ("extract(t, 'b+')", "bbb"),
        ("extract(t, 'a(b+)c')", "bbb"),
        ("extract(t, '(x)?bbb')", None),
        ("extract(n, '4(.)')", "2"),
        ("replace(t, 'b', 'é')", "aéééc"),
        ("replace(t, '(b+)', '<\\1>')", "a<bbb>c"),
        ("replace(t, '(x)?b+', '[\\1]')", "a[]c"),
        ("lower('ÄB')", "äb"),
        ("upper(t)", "ABBBC"),
        ("trim('  x ')", "x"),
        ("header('X-Site')", "north"),
        ("field('unset')", None),
        ("document().t", "abbbc"),
        ("from_json(j).k", 1),
        ("from_json(t)", None),
        ("nothing || 'constant'", "constant"),
        ("n == `42` && 'yes' || 'no'", "yes"),
        ("match(l, 'b')", None),
    ],
)
def test_what_an_expression_finds(expression: str, found: Any) -> None:
    document = {"t": "abbbc", "n": 42, "j": '{"k": 1}', "l": ["b"]}
    assert Evaluator({"x-site": "north"}, document).find(expression, document) == found


def test_every_function_is_described_by_its_arguments() -> None:
    """One that is allowed and not there would be an error for each delivery; one that is there and not allowed, a hole."""
    table = set(MappingFunctions.FUNCTION_TABLE)
    assert set(ARGUMENTS) <= table
    assert table - set(ARGUMENTS) >= {"to_string", "map", "sort_by", "reverse", "merge", "sum"}


CATASTROPHIC = ["(a+)+$", "(a|a)*b", "(a|aa)+$", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "(?:a*)*c"]


@pytest.mark.attack("B13")
@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_the_classic_patterns_stay_linear(pattern: str) -> None:
    """50,000 characters, for which a back-tracking engine takes longer than the universe is old."""
    text = "a" * 50_000 + "!"
    evaluator = Evaluator()
    started = time.process_time()
    with contextlib.suppress(ParseError):
        evaluator.find(f"match(t, '{pattern}')", {"t": text})
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a" * 301, "at most 300 characters"),
        (".{1000}", "states, 1500 are allowed"),
        ("((a{100}){100}){100}", "repetition size"),
        (r"\pL{900}", "too large"),
        ("(?=a)", "look-around and back-references are not there"),
        (r"(a)\1", "look-around and back-references are not there"),
        ("(", "missing"),
        ("[z-a]", "range"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, said: str) -> None:
    with pytest.raises(InvalidPattern, match=said):
        compile_pattern(pattern)


def test_what_searching_costs_comes_off_the_deliverys_budget() -> None:
    big = {"t": "x" * 30_000}
    evaluator = Evaluator()
    costly = "extract(t, '(x*)(y{300})(z{300})$')"
    searches = iter(range(20))
    with pytest.raises(ParseError, match="steps"):
        deque((evaluator.find(costly, big) for _ in searches), maxlen=0)
    assert next(searches) > 5


@pytest.mark.attack("B13")
def test_replacing_is_bounded_where_it_is_not_linear() -> None:
    started = time.process_time()
    found = Evaluator().find("replace(t, '.*b|.', '')", {"t": "a" * 60_000})
    assert time.process_time() - started < 0.5
    assert len(found) == 32_768 - 100


@pytest.mark.parametrize(
    ("config", "where", "said"),
    [
        ({"title": "$.alert"}, "title", "at character 1: .*without the \\$ of JSONPath"),
        ({"title": "my-name"}, "title", "at character 3: .*double quotes"),
        ({"labels": {"host": "a ||"}}, "labels.host", "at character 5: it ends too early"),
        ({"dedup": ["id", "a..b"]}, "dedup.1", "at character 3"),
        ({"title": "host is down"}, "title", "template: {{ host }}"),
        ({"title": "{{ host"}, "title", "at character 1: {{ is not closed"),
        ({"title": "x {{ }} y"}, "title", "no expression between the braces"),
        ({"title": "x {{ a..b }}"}, "title", "in {{ a..b }} at character 3"),
        ({"title": "{{a}}" * 21}, "title", "at most 20 places"),
        ({"title": "a" * 2001}, "title", "at most 2000 characters"),
        ({"severity": "a || upper2(b)"}, "severity", "at character 6: there is no function 'upper2'"),
        ({"severity": "to_string(@)"}, "severity", "no function 'to_string'"),
        ({"severity": "extract(a)"}, "severity", "extract takes 2 arguments, not 1"),
        ({"severity": "match(a, b)"}, "severity", "argument 2 of match is a constant text in single quotes, as in"),
        ({"severity": "match(a, '(')"}, "severity", "at character 1: the pattern of match cannot be used: missing"),
        ({"severity": "replace(a, '(b)', '\\2')"}, "severity", "the replacement names group 2; the pattern has 1"),
        ({"severity": "`x`"}, "severity", "between backticks stands JSON"),
        ({"severity": "header(name)"}, "severity", "argument 1 of header is a constant"),
        ({"ignore": [{"when": "a ==", "reason": "x"}]}, "ignore.0.when", "ends too early"),
        ({"ignore": [{"when": "a", "reason": "{{ b"}]}, "ignore.0.reason", "is not closed"),
        ({"links": [{"title": "x", "url": "a b"}]}, "links.0.url", "at character 3"),
        ({"fields": {"host": "'"}}, "fields.host", "at character"),
        ({"titel": "a"}, "titel", "Extra inputs"),
    ],
)
def test_a_mapping_that_is_wrong_names_the_field_the_place_and_what_to_do(
    config: dict[str, Any], where: str, said: str
) -> None:
    found, message = fault(**config)
    assert found == where
    assert re.search(said, message), message


def test_an_ignored_item_leaves_its_reason_and_its_neighbours() -> None:
    rules = [{"when": "test", "reason": "a test of {{ id }}"}]
    events = mapped([{"id": "a", "test": True}, {"id": "b"}], ignore=rules)
    assert [event.dedup_key for event in events] == ["b"]
    assert events.notes == ["no alert: a test of a"]


def test_notes_are_bounded_and_said_once() -> None:
    rules = [{"when": "test", "reason": "{{ id }}"}]
    events = mapped([{"id": str(n % 30), "test": True} for n in range(300)], ignore=rules)
    assert (len(events), len(events.notes)) == (0, 20)


def test_over_goes_before_acknowledged_and_both_before_the_status() -> None:
    config: dict[str, Any] = {"resolved_when": "closed", "acknowledged_when": "owner"}
    documents = [{"closed": 1, "owner": 1}, {"owner": "x", "status": "resolved"}, {"status": "ack"}, {"status": "new"}]
    found = [mapped(document, **config)[0].status for document in documents]
    assert found == [AlertStatus.RESOLVED, AlertStatus.ACKNOWLEDGED, AlertStatus.ACKNOWLEDGED, AlertStatus.FIRING]


def test_a_value_that_looks_like_a_template_is_text() -> None:
    """B15: what was put in is never read again."""
    (event,) = mapped({"a": "{{ b }}", "b": "secret"}, title="x {{ a }}")
    assert event.title == "x {{ b }}"


@pytest.mark.parametrize("text", ["{{ a }}{{ b }}", "{% for i in a %}", "{{ ''.__class__ }}", "{{ a.b.c | @ }}"])
def test_a_template_holds_values_and_no_program(text: str) -> None:
    try:
        (event,) = mapped({"title": "t"}, title=text)
    except ValidationError:
        return
    assert event.title == "Alert without a title"


def test_named_fields_are_of_their_item_alone() -> None:
    config: dict[str, Any] = {
        "fields": {"h": "host", "both": "join('/', [field('h'), 'x'])"},
        "title": "field('both') || 'none'",
    }
    events = mapped([{"host": "a", "id": 1}, {"id": 2}], **config)
    assert [event.title for event in events] == ["a/x", "none"]


def test_links_are_kept_once_and_only_safe_ones() -> None:
    (event,) = mapped(
        {"id": 1, "u": "https://a.example", "l": ["https://a.example", {"href": "javascript:x"}, 7, {"url": None}]},
        url="u",
        links_from="l",
    )
    assert [link.url for link in event.links] == ["https://a.example"]
    assert any("links" in warning for warning in event.warnings)


def test_a_form_is_an_object_of_texts() -> None:
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    (event,) = parse(b"title=a%20b&status=ok&id=&id=7", form, GenericConfig())
    assert (event.title, event.status, event.dedup_key) == ("a b", AlertStatus.RESOLVED, "7")
    with pytest.raises(ParseError):
        parse(b"&".join(b"f%d=1" % n for n in range(300)), form, GenericConfig())


EXPRESSIONS = st.text(alphabet="ab.[]*@|&!()'\"`{}?:,=<> 0$-{}", max_size=60)


@given(text=EXPRESSIONS)
def test_any_text_is_an_expression_or_a_fault_of_the_settings(text: str) -> None:
    try:
        config = GenericConfig.model_validate({"title": text})
    except ValidationError:
        return
    mapped({"a": {"b": [1, "x"]}}, **config.model_dump(exclude_unset=True))


@given(value=st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5))
def test_a_template_takes_any_value(value: Any) -> None:
    text = render("a {{ x }} b", lambda _: value)
    assert (text is None) == (value is None)
