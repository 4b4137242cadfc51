"""The condition grammar: typed, total, and deaf to anything that is not a condition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.remediation.rules.conditions import judge
from app.remediation.rules.expression import ExpressionError, parse_condition
from app.remediation.rules.substitution import MissingValue, render_text, substitute

NOW = datetime(2030, 1, 7, 12, 0, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "depth": {"length": 7, "up": True, "name": "web", "missing": None},
    "inputs": {"calm": 5, "trap": "${inputs.calm}"},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("depth.length > inputs.calm", True),
        ("depth.length <= 5", False),
        ("depth.up", True),
        ("not depth.up", False),
        ("depth.up and depth.length == 7", True),
        ("depth.length < 5 or depth.name == 'web'", True),
        ("depth.name in ['web', 'api']", True),
        ("depth.length between 5 and 9", True),
        ("len(depth.name) == 3", True),
        ("depth.missing > 3", None),
        ("depth.missing > 3 or depth.up", True),
        ("depth.missing > 3 and depth.up", None),
        ("(depth.length > 5) and not (depth.length > 9)", True),
    ],
)
def test_conditions_hold_fail_or_cannot_be_known(text: str, holds: bool | None) -> None:
    assert judge(parse_condition(text), VALUES, now=NOW) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "depth.",
        "1 +",
        "__import__('os')",
        "depth.length >",
        "a; b",
        "depth[0]",
        "lambda: 1",
        "exec('x')",
        "(" * 500,
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(text)


@given(st.text(max_size=200))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        node = parse_condition(text)
    except ExpressionError:
        return
    assert judge(node, {}, now=NOW) in (True, False, None)


def test_a_value_is_put_in_once_with_its_own_type_and_never_read_again() -> None:
    assert substitute({"n": "${inputs.calm}"}, VALUES) == {"n": 5}
    assert substitute("at ${inputs.calm}", VALUES) == "at 5"
    # Text from outside that looks like a reference stays text.
    assert substitute("${inputs.trap}", VALUES) == "${inputs.calm}"


def test_a_missing_value_is_an_error_in_a_parameter_and_a_hole_in_a_text() -> None:
    with pytest.raises(MissingValue):
        substitute("${inputs.nothing}", VALUES)
    assert render_text("it is ${inputs.nothing}", VALUES) == "it is (unknown)"
