"""Checking conditions against types when a runbook is loaded, and judging them with values when it runs.

Judging is three-valued: what cannot be known (an absent value) is None, never False, so that a missing sample cannot
pass for health nor for illness.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

from app.remediation.rules.expression import (
    Between,
    Call,
    Combination,
    Comparison,
    ExpressionError,
    ListOf,
    Literal,
    Membership,
    Node,
    Not,
    Reference,
    parse_condition,
)
from app.remediation.rules.types import (
    ANY,
    BOOLEAN,
    DURATION,
    INTEGER,
    NULL,
    NUMERIC,
    ORDERED,
    Kind,
    ValueType,
    literal_type,
)

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check_condition(text: str, names: Mapping[str, ValueType]) -> Node:
    """This will parse a condition and check its types.

    Raises:
        ExpressionError: It cannot be read, names something undeclared, or compares what cannot be compared.
    """
    node = parse_condition(text)
    found = infer(node, names)
    if found.kind not in (Kind.BOOLEAN, Kind.ANY):
        raise ExpressionError(f"a condition must be true or false, this is a {found}")
    return node


def lookup_type(reference: Reference, names: Mapping[str, ValueType]) -> ValueType:
    """This will return the type that a dotted name has.

    Raises:
        ExpressionError: Nothing of that name is declared.
    """
    head, *rest = reference.path
    if head not in names:
        raise ExpressionError(f"{reference}: nothing is called {head!r} here; known are {_names(names)}")
    found, optional = names[head], names[head].optional
    for part in rest:
        if found.kind is Kind.ANY:
            return ANY
        if found.kind is Kind.MAP:
            found, optional = found.item or ANY, True
            continue
        if part not in found.fields:
            raise ExpressionError(f"{reference}: there is no {part!r}; there are {_names(found.fields)}")
        found = found.fields[part]
        optional = optional or found.optional
    return ValueType(found.kind, found.item, found.fields, optional)


def infer(node: Node, names: Mapping[str, ValueType]) -> ValueType:  # noqa: PLR0911 - one return a kind of node
    """This will return the node's type.

    Raises:
        ExpressionError: The types do not fit.
    """
    match node:
        case Literal(value):
            return literal_type(value)
        case ListOf(items):
            kinds = [infer(item, names) for item in items]
            return ValueType(Kind.LIST, item=kinds[0] if kinds else ANY)
        case Reference():
            return lookup_type(node, names)
        case Call():
            return _infer_call(node, names)
        case Comparison() | Between() | Membership():
            _check_comparison(node, names)
            return BOOLEAN
        case Not(operand):
            return _boolean(operand, names)
        case Combination(operands=operands):
            for operand in operands:
                _boolean(operand, names)
            return BOOLEAN
        case _:
            assert_never(node)


def _boolean(node: Node, names: Mapping[str, ValueType]) -> ValueType:
    found = infer(node, names)
    if found.kind not in (Kind.BOOLEAN, Kind.ANY):
        raise ExpressionError(f"and, or and not need true or false, not a {found}")
    return BOOLEAN


def _infer_call(node: Call, names: Mapping[str, ValueType]) -> ValueType:
    first = infer(node.arguments[0], names)
    wanted = {
        "len": {Kind.LIST, Kind.STRING, Kind.MAP},
        "count": {Kind.LIST},
        "age": {Kind.DATETIME},
    }[node.function]
    if first.kind not in wanted | {Kind.ANY}:
        raise ExpressionError(f"{node.function}() does not take a {first}")
    if node.function == "count" and first.item is not None:
        _comparable("==", first.item, infer(node.arguments[1], names))
    return DURATION if node.function == "age" else INTEGER


def _check_comparison(node: Comparison | Between | Membership, names: Mapping[str, ValueType]) -> None:
    match node:
        case Comparison(operator=symbol, left=left, right=right):
            _comparable(symbol, infer(left, names), infer(right, names))
        case Between(value, low, high):
            for bound in (low, high):
                _comparable("<=", infer(value, names), infer(bound, names))
        case Membership(value, options):
            found = infer(options, names)
            if found.kind not in (Kind.LIST, Kind.ANY):
                raise ExpressionError(f"'in' needs a list, not a {found}")
            if found.item is not None:
                _comparable("==", infer(value, names), found.item)


def _comparable(symbol: str, left: ValueType, right: ValueType) -> None:
    if Kind.ANY in (left.kind, right.kind):
        return
    if NULL.kind in (left.kind, right.kind):
        if symbol in ("==", "!="):
            return
        raise ExpressionError(f"null cannot be compared with {symbol}")
    same = left.kind is right.kind or (left.kind in NUMERIC and right.kind in NUMERIC)
    if not same or (symbol in _ORDER and left.kind not in ORDERED):
        raise ExpressionError(f"a {left} cannot be compared with a {right} by {symbol}")


def judge(node: Node, values: Mapping[str, Any], *, now: datetime) -> bool | None:
    """This will return whether the condition holds, or None where a value that decides it is missing."""
    found = evaluate(node, values, now=now)
    return found if isinstance(found, bool) else None


def evaluate(node: Node, values: Mapping[str, Any], *, now: datetime) -> Any:  # noqa: PLR0911 - one return a kind of node
    """This will return the node's value; None stands for an absent one."""
    match node:
        case Literal(value):
            return value
        case ListOf(items):
            return [evaluate(item, values, now=now) for item in items]
        case Reference():
            return lookup(node, values)
        case Call():
            return _call(node, values, now)
        case Comparison(operator=symbol, left=left, right=right):
            return _compare(symbol, node, evaluate(left, values, now=now), evaluate(right, values, now=now))
        case Between(value, low, high):
            found = [evaluate(part, values, now=now) for part in (value, low, high)]
            return None if None in found else found[1] <= found[0] <= found[2]
        case Membership(value, options):
            wanted, among = evaluate(value, values, now=now), evaluate(options, values, now=now)
            return None if wanted is None or among is None else wanted in among
        case Not(operand):
            negated = evaluate(operand, values, now=now)
            return None if negated is None else not negated
        case Combination(operator=symbol, operands=operands):
            return _combine(symbol, [evaluate(operand, values, now=now) for operand in operands])
        case _:
            assert_never(node)


def lookup(reference: Reference, values: Mapping[str, Any]) -> Any:
    """This will follow a dotted name through mappings; None where something on the way is absent."""
    found: Any = values
    for part in reference.path:
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _compare(symbol: str, node: Comparison, left: Any, right: Any) -> bool | None:
    if Literal(None) in (node.left, node.right):
        return bool((left == right) is (symbol == "=="))
    if left is None or right is None:
        return None
    if symbol in ("==", "!="):
        return bool((left == right) is (symbol == "=="))
    return _ORDER[symbol](left, right)


def _combine(symbol: str, found: list[bool | None]) -> bool | None:
    decisive = symbol == "or"
    if decisive in found:
        return decisive
    return None if None in found else not decisive


def _call(node: Call, values: Mapping[str, Any], now: datetime) -> int | timedelta | None:
    arguments = [evaluate(argument, values, now=now) for argument in node.arguments]
    if arguments[0] is None:
        return None
    if node.function == "len":
        return len(arguments[0])
    if node.function == "count":
        return int(arguments[0].count(arguments[1]))
    moment = datetime.fromisoformat(arguments[0]) if isinstance(arguments[0], str) else arguments[0]
    return now - moment if isinstance(moment, datetime) else None


def _names(names: Mapping[str, ValueType]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"
