"""Regular expressions of tenants, on an engine that looks at each character once for each state: RE2.

No pattern makes it go back, so none blows up; what is left to bound is the pattern's own size, the text and the number
of replacements. Source: RE2, https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

PATTERN_MAX = 300
PROGRAM_MAX = 1500
"""States of the compiled pattern: ``\\d{1,3}`` has about ten, ``.{1000}`` eight thousand."""
TEXT_MAX = 32_768
"""Characters that are searched; what stands behind them is not."""
REPLACEMENTS_MAX = 100
"""Finding all matches is the one thing that is not linear: each may look at all the rest of the text."""

_GROUP = re.compile(r"(\\[0-9])")
_MEMORY_BYTES = 1 << 20


class InvalidPattern(ValueError):
    """The pattern is no RE2 expression, or too large a one."""


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Any:
    """This will return the compiled pattern.

    Raises:
        InvalidPattern: Too long, too large once compiled, or no RE2 expression.
    """
    if len(text) > PATTERN_MAX:
        raise InvalidPattern(f"a pattern has at most {PATTERN_MAX} characters")
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    try:
        pattern = re2.compile(text, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        raise InvalidPattern(_explain(error)) from None
    if pattern.programsize > PROGRAM_MAX:
        raise InvalidPattern(
            f"it compiles to {pattern.programsize} states, {PROGRAM_MAX} are allowed; use smaller repetitions"
        )
    return pattern


def _explain(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else "it holds a lone surrogate"
    if "invalid perl operator" in text or "invalid escape" in text:
        return f"{text}; look-around and back-references are not there, as no engine has them that cannot blow up"
    return text


@lru_cache(maxsize=1024)
def compile_replacement(text: str) -> tuple[str | int, ...]:
    """This will split a replacement into its texts and the numbers of the groups between them: ``\\1`` to ``\\9``.

    The engine's own reader of replacements takes UTF-8 for Latin-1.
    """
    parts = _GROUP.split(text)
    return tuple(int(part[1]) if index % 2 else part for index, part in enumerate(parts))


def replace_matches(pattern: Any, text: str, replacement: str) -> str:
    """This will replace the first hundred matches; a group that took no part is empty."""
    parts = compile_replacement(replacement)

    def put(found: Any) -> str:
        return "".join(part if isinstance(part, str) else found.group(part) or "" for part in parts)

    return str(pattern.sub(put, text, REPLACEMENTS_MAX))


def cost_of(pattern: Any, text: str) -> int:
    """This will return the steps that a search counts for: the worst case, in units of a thousand states looked at."""
    return 1 + len(text) * int(pattern.programsize) // 1000
