"""``${...}`` in a runbook: each becomes a typed value exactly once and is never parsed again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.remediation.rules.conditions import lookup, lookup_type
from app.remediation.rules.expression import ExpressionError, Reference, parse_reference
from app.remediation.rules.types import STRING, Kind, ValueType, literal_type

MAX_TEXT = 2000
_HOLE = re.compile(r"\$\{([^{}]{1,200})\}")
_SCALAR = frozenset({Kind.BOOLEAN, Kind.INTEGER, Kind.NUMBER, Kind.STRING, Kind.ANY, Kind.DATETIME})


class MissingValue(Exception):
    """A reference names something that has no value in this run."""


def references_in(value: Any) -> Iterator[Reference]:
    """This will yield every reference in a value, however deep.

    Raises:
        ExpressionError: Something between ``${`` and ``}`` is not a reference.
    """
    if isinstance(value, str):
        for hole in _HOLE.finditer(value):
            yield parse_reference(hole.group(1).strip())
        if "${" in _HOLE.sub("", value):
            raise ExpressionError(f"{value!r} holds an unfinished ${{...}}")
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from references_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from references_in(part)


def type_of_value(value: Any, names: Mapping[str, ValueType]) -> ValueType:
    """This will return the type that a value of a document has after substitution.

    Raises:
        ExpressionError: It names something undeclared, or puts a list or object into a text.
    """
    if step_up := as_step_up(value):
        for part in step_up:
            if type_of_value(part, names).kind not in (Kind.INTEGER, Kind.ANY):
                raise ExpressionError("step_up, of and max must be integers")
        return ValueType(Kind.INTEGER)
    found = list(references_in(value))
    if not found:
        return literal_type(value)
    if isinstance(value, str) and (whole := _HOLE.fullmatch(value)):
        return lookup_type(parse_reference(whole.group(1).strip()), names)
    for reference in found:
        part = lookup_type(reference, names)
        if isinstance(value, str) and part.kind not in _SCALAR:
            raise ExpressionError(f"{reference} is a {part} and cannot stand inside a text")
    return STRING if isinstance(value, str) else literal_type(value)


def substitute(value: Any, values: Mapping[str, Any]) -> Any:
    """This will put values where references stand. A text that is one reference keeps the value's own type.

    Raises:
        MissingValue: A reference has no value, or ``step_up`` cannot go further.
    """
    if step_up := as_step_up(value):
        return _resolve_step_up(*(substitute(part, values) for part in step_up))
    if isinstance(value, str):
        return _substitute_text(value, values)
    if isinstance(value, Mapping):
        return {key: substitute(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [substitute(part, values) for part in value]
    return value


def render_text(template: str, values: Mapping[str, Any]) -> str:
    """This will fill a text for people; what is missing shows as ``(unknown)``, and the length is capped.

    Characters of a stranger's value that show nothing, or turn the text around, are written out: whoever decides on the
    text must not read something else than it says.
    """

    def fill(hole: re.Match[str]) -> str:
        found = lookup(parse_reference(hole.group(1).strip()), values)
        return "(unknown)" if found is None else _visible(str(found))

    text = _HOLE.sub(fill, template)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def as_step_up(value: Any) -> tuple[Any, Any, Any] | None:
    """This will return ``(step, of, max)`` where the value is a ``step_up``, a bounded raise by a fixed step."""
    if isinstance(value, Mapping) and "step_up" in value:
        if set(value) != {"step_up", "of", "max"}:
            raise ExpressionError("step_up is written {step_up: 3, of: ${...}, max: ${...}}")
        return value["step_up"], value["of"], value["max"]
    return None


def _resolve_step_up(step: Any, current: Any, limit: Any) -> int:
    if current >= limit:
        raise MissingValue(f"step_up cannot go further: {current} of at most {limit} reached")
    return int(min(current + step, limit))


def _substitute_text(value: str, values: Mapping[str, Any]) -> Any:
    if whole := _HOLE.fullmatch(value):
        return _required(whole.group(1), values)
    return _HOLE.sub(lambda hole: str(_required(hole.group(1), values)), value)


def _required(name: str, values: Mapping[str, Any]) -> Any:
    found = lookup(parse_reference(name.strip()), values)
    if found is None:
        raise MissingValue(f"{name.strip()} has no value in this run")
    return found
