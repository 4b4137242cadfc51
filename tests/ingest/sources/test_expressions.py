"""The short way through plain expressions finds what the interpreter finds, on the same budget and within the same limits."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from app.ingest.contract import ParseError
from app.ingest.sources.generic.expressions import (
    LIST_MAX,
    STRING_MAX,
    Evaluator,
    alternatives,
    compile_expression,
)
from app.ingest.sources.generic.scope import STEPS_MAX

NAMES = st.sampled_from(["a", "b", "c", '"x y"'])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
OTHERS = st.sampled_from(["length(a)", "a[0]", "b[]", "a && b", "!a", "a == 't'", "'text'", "@"])
EXPRESSIONS = st.one_of(
    st.lists(PATHS, min_size=1, max_size=4).map(" || ".join),
    st.lists(st.one_of(PATHS, OTHERS), min_size=1, max_size=4).map(" || ".join),
    st.tuples(PATHS, PATHS, PATHS).map(lambda parts: f"{parts[0]} || ({parts[1]} || {parts[2]})"),
    st.tuples(PATHS, PATHS).map(lambda parts: f"({parts[0]}).{parts[1]}"),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 1), st.sampled_from(["", "t"]), st.just(0.0)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "c", "x y"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(expression=EXPRESSIONS, document=VALUES)
def test_an_expression_finds_what_the_interpreter_finds(expression: str, document: Any) -> None:
    try:
        by_interpreter = Evaluator().visit(compile_expression(expression), document)
    except JMESPathError:
        by_interpreter = None
    found = Evaluator().find(expression, document)
    assert found == by_interpreter
    assert type(found) is type(by_interpreter)


def test_names_dots_and_ors_need_no_interpreter() -> None:
    assert alternatives('a.b || ("x y" || (c).d)') == (("a", "b"), ("x y",), ("c", "d"))


@pytest.mark.parametrize(
    "expression", ["a[0]", "a[]", "a.*", "a && b", "!a", "a == 'x'", "length(a)", "[a, b]", "{x: a}", "(a | b)", "@"]
)
def test_what_is_no_path_is_left_to_the_interpreter(expression: str) -> None:
    assert alternatives(f"a || {expression}") == (("a",), compile_expression(expression))


def test_the_limits_hold_on_the_short_way_too() -> None:
    with pytest.raises(ParseError, match="list of more than"):
        Evaluator().find("a.b", {"a": [0] * (LIST_MAX + 1)})
    with pytest.raises(ParseError, match="text of more than"):
        Evaluator().find("a || b", {"a": "x" * (STRING_MAX + 1)})


def test_the_budget_is_used_up_on_the_short_way_too() -> None:
    evaluator = Evaluator()
    evaluator.scope.charge(STEPS_MAX - 1)
    with pytest.raises(ParseError, match="steps"):
        evaluator.find("a.b.c || b", {})


def test_what_a_delivery_leaves_behind_is_no_work_for_the_garbage_collector() -> None:
    evaluator = Evaluator({}, {})
    assert evaluator.find("!a && b.c", {"b": {"c": 1}}) == 1
    gone = weakref.ref(evaluator)
    gc.disable()
    try:
        del evaluator
        assert gone() is None
    finally:
        gc.enable()
