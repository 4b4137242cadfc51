"""The template that says which bytes are signed, checked once and compiled into one format call."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

BODY: Final = "body"
TIMESTAMP: Final = "timestamp"
DELIVERY_ID: Final = "id"
METHOD: Final = "method"
PATH: Final = "path"
HEADER_PREFIX: Final = "header:"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_PLAIN = frozenset({BODY, TIMESTAMP, DELIVERY_ID, METHOD, PATH})


class TemplateError(ValueError):
    """The template cannot be used: it is ambiguous, or names something unknown."""


@dataclass(frozen=True)
class SignedTemplate:
    """A parsed template: ``literals[i]`` stands before ``variables[i]``; the last literal ends it."""

    literals: tuple[bytes, ...]
    variables: tuple[str, ...]

    @property
    def header_names(self) -> tuple[str, ...]:
        """Names of the headers that are signed, in order."""
        return tuple(v.removeprefix(HEADER_PREFIX) for v in self.variables if v.startswith(HEADER_PREFIX))

    @property
    def is_body_only(self) -> bool:
        return self.variables == (BODY,) and not any(self.literals)

    def forbidden_in(self, variable: str) -> bytes:
        """This will return the bytes that a value of ``variable`` must not hold: those of the separators beside it.

        If it held one, the boundary could be moved and two different requests would sign the same bytes. Each byte of
        a separator counts, not the whole: with ``::`` between, ``x:`` and ``y`` reads like ``x`` and ``:y``.
        """
        index = self.variables.index(variable)
        before = self.literals[index] if index > 0 else b""
        after = self.literals[index + 1] if index < len(self.variables) - 1 else b""
        return bytes(sorted(set(before + after)))

    def compile(self) -> Callable[[Sequence[bytes]], bytes]:
        """This will return a function from the variables' values, in order, to the signed bytes."""
        if self.is_body_only:
            return lambda values: values[0]
        escaped = [literal.replace(b"%", b"%%") for literal in self.literals]
        pattern = b"%b".join(escaped)
        return lambda values: pattern % tuple(values)


def parse_template(text: str, *, self_delimiting: frozenset[str] = frozenset()) -> SignedTemplate:
    """This will parse ``text`` such as ``v0:{timestamp}:{body}``.

    Args:
        self_delimiting: Variables whose values end where they end, whatever follows (an ISO 8601 time).

    Raises:
        TemplateError: Unknown or repeated variable, no ``{body}``, stray brace, or two parts with nothing between.
    """
    pieces = _PLACEHOLDER.split(text)
    literals, variables = pieces[0::2], pieces[1::2]
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateError(f"stray brace in {text!r}")
    for name in variables:
        _check_variable(name)
    if variables.count(BODY) != 1:
        raise TemplateError("{body} must be signed, exactly once")
    if len(set(variables)) != len(variables):
        raise TemplateError("a part is named twice")
    for index in range(len(variables) - 1):
        if not literals[index + 1] and variables[index] not in self_delimiting:
            raise TemplateError(f"{{{variables[index]}}} and {{{variables[index + 1]}}} need a separator between them")
    try:
        encoded = tuple(literal.encode("ascii") for literal in literals)
    except UnicodeEncodeError:
        raise TemplateError("literals must be ASCII") from None
    return SignedTemplate(encoded, tuple(variables))


def _check_variable(name: str) -> None:
    if name in _PLAIN:
        return
    if name.startswith(HEADER_PREFIX) and _HEADER_NAME.fullmatch(name.removeprefix(HEADER_PREFIX)):
        return
    raise TemplateError(f"unknown part {{{name}}}; header names are written in lower case")
