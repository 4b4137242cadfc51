"""Reading a sender's object field by field: clean text comes out of any JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.rules import fields, values

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\r\n b\x00", "a b\ufffd"),
        (7, "7"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        (None, ""),
        ({"a": 1}, ""),
        (["a"], ""),
        ("", ""),
    ],
)
def test_a_scalar_is_text_and_nothing_else_is(value: Any, expected: str) -> None:
    assert fields.text_of(value) == expected


def test_the_first_field_that_says_something_counts() -> None:
    holder = {"a": "", "b": None, "c": {"x": 1}, "d": "found", "e": "later"}
    assert fields.text_at(holder, "a", "b", "c", "d", "e") == "found"
    assert fields.text_at(holder, "a", "missing") == ""


def test_prose_keeps_its_lines() -> None:
    assert fields.prose_at({"a": " \n ", "b": 5, "c": "one\ntwo\n"}, "a", "b", "c") == "one\ntwo"


def test_the_first_field_that_is_a_time_counts() -> None:
    holder = {"a": "", "b": "soon", "c": "0001-01-01T00:00:00Z", "d": 1772446500, "e": 1}
    assert fields.time_at(holder, "a", "b", "c", "d", "e") == datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
    assert fields.time_at(holder, "a", "missing") is None


def test_a_description_is_made_of_what_is_known() -> None:
    assert fields.description_of(["a", "", "b"], between="\n\n") == "a\n\nb"
    assert fields.facts_of(("Host", "db-1"), ("Zone", "")) == "Host: db-1"
    assert len(fields.description_of(["a" * values.DESCRIPTION_MAX, "b"])) == values.DESCRIPTION_MAX


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (("pay", "shop.py", "7"), "  at pay (shop.py:7)"),
        (("", "shop.py", "7"), "  at shop.py:7"),
        (("pay", "", "7"), ""),
    ],
)
def test_a_frame_of_a_stack_trace(frame: tuple[str, str, str], line: str) -> None:
    assert fields.frame_of(*frame) == line


def test_what_came_along_besides_is_clean_text_by_its_name() -> None:
    holder = {"known": 1, "tags": ["a"], "empty": "", "nothing": None, "text": "a\x00"}
    assert fields.others(holder, {"known"}) == {"tags": '["a"]', "text": "a\ufffd"}


def test_what_is_of_another_type_is_not_there() -> None:
    holder = {"object": {"a": 1}, "list": [{"a": 1}, 2, None, "x", {"b": 2}], "text": "x"}
    assert fields.object_at(holder, "object") == {"a": 1}
    assert fields.object_at(holder, "list") == {}
    assert fields.objects_at(holder, "list") == [{"a": 1}, {"b": 2}]
    assert fields.objects_at(holder, "object") == []
    assert fields.texts_at(holder, "list") == ["2", "x"]
    assert fields.texts_at(holder, "text") == []


def test_a_key_tells_its_parts_apart() -> None:
    assert fields.compound_key("k", "ab", "c") != fields.compound_key("k", "a", "bc")
    assert fields.compound_key("k", "a", "") != fields.compound_key("k", "", "a")
    assert fields.compound_key("k", "a", "b") == fields.compound_key("k", "a", "b")


@given(holder=st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON))
def test_any_object_gives_clean_text(holder: dict[str, Any]) -> None:
    found = fields.text_at(holder, "a", "b", "c", limit=50)
    assert len(found) <= 50
    assert "\x00" not in found
    assert "\n" not in found
    found.encode()
    assert len(fields.prose_at(holder, "a", "b", "c", limit=50)) <= 50
    fields.compound_key("k", found, *(str(value) for value in holder.values())).encode()
    assert all(isinstance(entry, dict) for entry in fields.objects_at(holder, "a"))


@given(text=st.text(max_size=200), limit=st.integers(2, 60))
def test_one_line_is_one_line_of_printable_text(text: str, limit: int) -> None:
    line = values.one_line(text, limit=limit)
    assert line.isprintable()
    assert line == " ".join(line.split())
    assert len(line) <= limit
