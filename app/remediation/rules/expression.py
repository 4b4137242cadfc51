"""The condition language: parsed into a small tree when the runbook is loaded, never evaluated as code.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
                         | ["not"] "in" operand | "between" operand "and" operand ]
    operand    = literal | duration | reference | function "(" operand {"," operand} ")" | list | "(" condition ")"
    function   = "len" | "age" | "count"

There are no calls into Python, no attributes of Python objects, no arithmetic and no strings built at run time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, TypeAlias

from app.remediation.rules.durations import parse_duration

MAX_LENGTH = 500
MAX_DEPTH = 20
FUNCTIONS = {"len": 1, "age": 1, "count": 2}
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_WORDS = frozenset({"and", "or", "not", "in", "between", "true", "false", "null"})
_TOKEN = re.compile(
    r"\s*(?:(?P<duration>\d+[smhd](?:\d+[smhd])*\b)|(?P<number>-?\d+(?:\.\d+)?\b)|(?P<string>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)|(?P<symbol>==|!=|<=|>=|[<>()\[\],]))"
)

Scalar: TypeAlias = str | int | float | bool | timedelta | None


class ExpressionError(ValueError):
    """The condition cannot be read; says where and what was expected."""


@dataclass(frozen=True)
class Literal:
    value: Scalar


@dataclass(frozen=True)
class ListOf:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Reference:
    """A dotted name, ``inputs.limit`` or ``depth.length``."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Comparison:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Between:
    value: Node
    low: Node
    high: Node


@dataclass(frozen=True)
class Membership:
    value: Node
    options: Node


@dataclass(frozen=True)
class Not:
    operand: Node


@dataclass(frozen=True)
class Combination:
    """``and`` or ``or`` of two or more."""

    operator: str
    operands: tuple[Node, ...]


Node: TypeAlias = Literal | ListOf | Reference | Call | Comparison | Between | Membership | Not | Combination


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_condition(text: str) -> Node:
    """This will parse a condition.

    Raises:
        ExpressionError: It is not one.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"a condition may have {MAX_LENGTH} characters, this has {len(text)}")
    return _Parser(text).whole()


def parse_reference(text: str) -> Reference:
    """This will parse a lone dotted name, as in ``${inputs.limit}``.

    Raises:
        ExpressionError: It is anything else.
    """
    tokens = _tokens(text)
    if len(tokens) != 1 or tokens[0].kind != "name":
        raise ExpressionError(f"{text!r} is not a reference; write a dotted name such as inputs.limit")
    return Reference(tuple(tokens[0].text.split(".")))


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"cannot read {stripped[at:].strip()[:20]!r} at character {at + 1}")
        kind, value = match.lastgroup, match.group(match.lastgroup)
        tokens.append(_Token("word" if kind == "name" and value in _WORDS else kind, value, match.start(kind) + 1))
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._condition()
        if self._at < len(self._tokens):
            self._fail("the end")
        return node

    def _condition(self) -> Node:
        return self._chain("or", self._conjunction())

    def _chain(self, operator: str, first: Node) -> Node:
        operands = [first]
        while self._take(operator):
            operands.append(self._conjunction() if operator == "or" else self._negation())
        return first if len(operands) == 1 else Combination(operator, tuple(operands))

    def _conjunction(self) -> Node:
        return self._chain("and", self._negation())

    def _negation(self) -> Node:
        negations = 0
        while self._take("not"):
            negations += 1
        node = self._comparison()
        return Not(node) if negations % 2 else node

    def _comparison(self) -> Node:
        left = self._operand()
        token = self._peek()
        if token is not None and token.text in COMPARISONS:
            self._at += 1
            return Comparison(token.text, left, self._operand())
        if self._take("between"):
            low = self._operand()
            self._expect("and")
            return Between(left, low, self._operand())
        if self._take("in"):
            return Membership(left, self._operand())
        if self._take("not"):
            self._expect("in")
            return Not(Membership(left, self._operand()))
        return left

    def _operand(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} levels of nesting")
        node = self._nested_operand()
        self._depth -= 1
        return node

    def _nested_operand(self) -> Node:
        token = self._peek()
        if token is None:
            self._fail("a value")
        if self._take("("):
            node = self._condition()
            self._expect(")")
            return node
        if self._take("["):
            return ListOf(self._until("]"))
        self._at += 1
        if token.kind == "name":
            return self._call(token) if self._take("(") else Reference(tuple(token.text.split(".")))
        return self._literal(token)

    def _call(self, name: _Token) -> Node:
        if name.text not in FUNCTIONS:
            raise ExpressionError(f"there is no function {name.text!r}; there are {', '.join(sorted(FUNCTIONS))}")
        arguments = self._until(")")
        if len(arguments) != FUNCTIONS[name.text]:
            raise ExpressionError(f"{name.text}() takes {FUNCTIONS[name.text]} argument(s), not {len(arguments)}")
        return Call(name.text, arguments)

    def _until(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(closing):
            if items:
                self._expect(",")
            items.append(self._operand())
        return tuple(items)

    def _literal(self, token: _Token) -> Node:
        constants: dict[str, Scalar] = {"true": True, "false": False, "null": None}
        if token.text in constants:
            return Literal(constants[token.text])
        if token.kind == "duration":
            return Literal(parse_duration(token.text))
        if token.kind == "number":
            return Literal(float(token.text) if "." in token.text else int(token.text))
        if token.kind != "string":
            self._at -= 1
            self._fail("a value")
        return Literal(token.text[1:-1])

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.kind not in ("word", "symbol") or token.text != text:
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._fail(repr(text))

    def _fail(self, wanted: str) -> NoReturn:
        token = self._peek()
        found = f"{token.text!r} at character {token.position}" if token is not None else "the end"
        raise ExpressionError(f"expected {wanted}, found {found}")
