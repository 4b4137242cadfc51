"""What an expression may call: a few of JMESPath's own functions, and ours for texts, headers and named fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from jmespath import functions

from app.ingest.sources.generic.regexes import TEXT_MAX, compile_pattern, cost_of, replace_matches
from app.ingest.sources.generic.scope import Scope

ARGUMENTS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("keys", "length", "max", "min", "sort", "to_number", "type", "values"), (1, 1)),
    **dict.fromkeys(("contains", "ends_with", "join", "starts_with"), (2, 2)),
    **dict.fromkeys(("lower", "upper", "trim", "from_json", "header", "field"), (1, 1)),
    "not_null": (1, 16),
    "match": (2, 2),
    "extract": (2, 2),
    "replace": (3, 3),
    "document": (0, 0),
}
"""Every function with the least and the greatest number of its arguments."""

PATTERN_ARGUMENT: Mapping[str, int] = {"match": 1, "extract": 1, "replace": 1}
LITERAL_ARGUMENTS: Mapping[str, tuple[int, ...]] = {"match": (1,), "extract": (1,), "replace": (1, 2), "header": (0,)}
"""Arguments that must stand in the expression itself: a pattern that a sender could choose could be a costly one."""

_TEXT: Any = {"types": ["string", "number", "boolean", "null"]}
_STRING: Any = {"types": ["string"]}


class MappingFunctions(functions.Functions):
    """The functions of one delivery."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @functions.signature(_TEXT, _STRING)
    def _func_match(self, value: object, pattern: str) -> bool | None:
        return None if value is None else self._search(value, pattern) is not None

    @functions.signature(_TEXT, _STRING)
    def _func_extract(self, value: object, pattern: str) -> str | None:
        """The first group of the first match, or the whole match where the pattern has no group."""
        found = None if value is None else self._search(value, pattern)
        if found is None:
            return None
        text: str | None = found.group(1) if compile_pattern(pattern).groups else found.group()
        return text or None

    @functions.signature(_TEXT, _STRING, _STRING)
    def _func_replace(self, value: object, pattern: str, replacement: str) -> str | None:
        if value is None:
            return None
        text, compiled = _as_text(value)[:TEXT_MAX], compile_pattern(pattern)
        self._scope.charge(cost_of(compiled, text) * 4)
        return replace_matches(compiled, text, replacement)

    @functions.signature(_TEXT)
    def _func_lower(self, value: object) -> str | None:
        return None if value is None else _as_text(value).lower()

    @functions.signature(_TEXT)
    def _func_upper(self, value: object) -> str | None:
        return None if value is None else _as_text(value).upper()

    @functions.signature(_TEXT)
    def _func_trim(self, value: object) -> str | None:
        return None if value is None else _as_text(value).strip()

    @functions.signature(_STRING)
    def _func_from_json(self, text: str) -> Any:
        self._scope.charge(1 + len(text) // 50)
        return orjson.loads(text)

    @functions.signature(_STRING)
    def _func_header(self, name: str) -> str | None:
        return self._scope.headers.get(name.lower())

    @functions.signature(_STRING)
    def _func_field(self, name: str) -> Any:
        return self._scope.fields.get(name)

    @functions.signature()
    def _func_document(self) -> Any:
        return self._scope.document

    def _search(self, value: object, pattern: str) -> Any:
        text, compiled = _as_text(value)[:TEXT_MAX], compile_pattern(pattern)
        self._scope.charge(cost_of(compiled, text))
        return compiled.search(text)


def _as_text(value: object) -> str:
    return (
        value if isinstance(value, str) else ("true" if value else "false") if isinstance(value, bool) else str(value)
    )
