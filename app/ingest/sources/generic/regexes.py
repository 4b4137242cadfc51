"""Regular expressions of tenants, on an engine that looks at each character once for each state: RE2.

No pattern makes it go back, so none blows up; what is left to bound is the pattern's own size, the text and the number
of replacements. Source: RE2, https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

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


def replace_matches(pattern: Any, text: str, replacement: str) -> str | None:
    """This will replace the first hundred matches; None where the replacement names a group that is not there."""
    try:
        return str(pattern.sub(replacement, text, REPLACEMENTS_MAX))
    except (re2.error, IndexError):
        return None


def cost_of(pattern: Any, text: str) -> int:
    """This will return the steps that a search counts for: the worst case, in units of a thousand states looked at."""
    return 1 + len(text) * int(pattern.programsize) // 1000
