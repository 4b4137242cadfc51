"""A body as it may be read by those who look after the mapping: whole in its shape, without anything that opens a door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from app.core.redaction import SECRET, remove_secrets
from app.observability.scrubbing import is_secret_name

# The patterns take seconds for a megabyte of hostile text; a person reads less than this.
MAX_SHOWN_BYTES = 65_536
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Shown:
    """A body for reading.

    Attributes:
        cut: There is more of it than is shown.
    """

    text: str
    cut: bool


def redact_body(body: bytes) -> Shown:
    """This will return the body as text, credentials replaced by name and by shape.

    JSON is laid out anew, so that a secret is found whatever its escapes; the bytes themselves are another question.
    """
    part = body[:MAX_SHOWN_BYTES]
    if len(part) == len(body):
        try:
            laid_out = orjson.dumps(_without_secrets(orjson.loads(part), 0), option=orjson.OPT_INDENT_2)
            return Shown(laid_out.decode(), cut=False)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
    return Shown(remove_secrets(part.decode("utf-8", "backslashreplace")), cut=len(part) < len(body))


def _without_secrets(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, str):
        return remove_secrets(value)
    if isinstance(value, list):
        return [_without_secrets(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            remove_secrets(name): SECRET if is_secret_name(name) else _without_secrets(item, depth + 1)
            for name, item in value.items()
        }
    return value
