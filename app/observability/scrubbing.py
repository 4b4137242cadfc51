"""Making a log event safe to write: no secrets, no control characters, no endless values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

MAX_TEXT = 8_192
MAX_DEPTH = 6
MAX_ITEMS = 200
REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"secret|passw|pwd|token|authorization|api_?-?key|encryption_key|private_key|pepper|cookie|credential|signature",
    re.IGNORECASE,
)
# Names that match the pattern above, but hold an id or a count.
_HARMLESS = frozenset({"token_id", "token_kind", "tokens", "tokens_in", "tokens_out", "max_tokens"})
# Credentials inside texts: user:password@ in URLs, Authorization schemes, our own tokens.
_SECRET_TEXT = (
    (re.compile(r"(\b\w+://[^\s:/@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"\b(Bearer|Basic|ApiKey|GenieKey)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(?i)\b(password|passwd|secret|api_?key|token)(=|: ?)[^\s&,;'\"]+"), rf"\1\2{REDACTED}"),
)
# What JSON leaves as it is and a terminal or a line splitter acts on: DEL, C1, line separators, direction marks, BOM.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def is_secret_name(name: str) -> bool:
    """This will tell whether a field of this name must not show its value."""
    return name not in _HARMLESS and _SECRET_NAME.search(name) is not None


def scrub(value: object, *, depth: int = 0) -> object:
    """This will return a value that JSON can hold, with secrets redacted by name and by shape, and bounded in size."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, str | UUID):
        return clean_text(str(value))
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _scrub_inside(value, depth) if depth < MAX_DEPTH else "[too deep]"
    return clean_text(_repr(value))


def _scrub_inside(value: Mapping[object, object] | Iterable[object], depth: int) -> object:
    if not isinstance(value, Mapping):
        return [scrub(item, depth=depth + 1) for item in list(value)[:MAX_ITEMS]]
    scrubbed: dict[str, object] = {}
    for name, item in list(value.items())[:MAX_ITEMS]:
        shown = clean_text(name if isinstance(name, str) else _repr(name))
        scrubbed[shown] = REDACTED if is_secret_name(shown) else scrub(item, depth=depth + 1)
    return scrubbed


def clean_text(text: str) -> str:
    """This will cut the middle out of a long text, hide credentials and repair what UTF-8 cannot hold."""
    if len(text) > MAX_TEXT:
        # The middle goes: of a stack trace the end matters, of anything else the beginning.
        text = f"{text[: MAX_TEXT // 2]}…{text[-MAX_TEXT // 2 :]}"
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escape_unsafe(line: str) -> str:
    """This will write what could forge a line, move a cursor or turn text around as its escape: ``\\u202e``."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", line)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__ must not cost us the line
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
