"""Texts with values in them: ``{{ host }} is {{ state }}``. What is put in is never looked at as a template again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.ingest.rules import values
from app.ingest.sources.generic.expressions import InvalidExpression, compile_expression

TEMPLATE_MAX = 2000
PLACES_MAX = 20
_VALUE_MAX = 16_384
_OPEN, _CLOSE = "{{", "}}"

Part = tuple[str, str]
"""Constant text, and the expression behind it; the last one is empty."""


def is_template(text: str) -> bool:
    """This will say whether ``text`` is a template; no expression holds two opening braces in a row."""
    return _OPEN in text


@lru_cache(maxsize=1024)
def compile_template(text: str) -> tuple[Part, ...]:
    """This will split a template into its parts.

    Raises:
        InvalidExpression: Too long, a place is not closed or empty, or its expression is wrong.
    """
    if len(text) > TEMPLATE_MAX:
        raise InvalidExpression(f"a template has at most {TEMPLATE_MAX} characters")
    parts: list[Part] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        end = text.find(_CLOSE, start)
        if end < 0:
            raise InvalidExpression(f"at character {start + 1}: {{{{ is not closed; write {{{{ host }}}}")
        expression = text[start + len(_OPEN) : end].strip()
        if not expression:
            raise InvalidExpression(f"at character {start + 1}: there is no expression between the braces")
        try:
            compile_expression(expression)
        except InvalidExpression as error:
            raise InvalidExpression(f"in {{{{ {expression[:60]} }}}} {error}") from None
        parts.append((text[at:start], expression))
        at = end + len(_CLOSE)
    if len(parts) > PLACES_MAX:
        raise InvalidExpression(f"a template has at most {PLACES_MAX} places for values, not {len(parts)}")
    return (*parts, (text[at:], ""))


def render(text: str, find: Callable[[str], Any]) -> str | None:
    """This will return the template with its values in place; None where it has places and none found anything."""
    written: list[str] = []
    found_any = False
    for constant, expression in compile_template(text):
        written.append(constant)
        found = find(expression) if expression else None
        if found is not None:
            found_any = True
            written.append(values.clean_text(found, limit=_VALUE_MAX))
    return "".join(written).strip() if found_any else None
