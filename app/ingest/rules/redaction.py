"""A body as it may be read by those who look after the mapping: whole in its shape, without anything that opens a door."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from app.core.redaction import SECRET, remove_secrets
from app.observability.scrubbing import is_secret_name

# The patterns take seconds for a megabyte of hostile text; a person reads less than this.
MAX_SHOWN_BYTES = 65_536
_MAX_DEPTH = 64
_LAST_FIELD_BYTES = 4096
# Names of fields that no log line of ours has.
_SECRET_NAME = re.compile(
    r"pass[\s_-]?(?:phrase|code|wort)|(?:api|access|account|auth|private)[\s_.-]?key"
    r"|(?:^|[\s_.-])(?:auth|pass|pin|otp|sig)(?:$|[\s_.-])",
    re.IGNORECASE,
)
_FORM = re.compile(rb"[\w.~+%\[\]*-]{1,200}=[^\s<>\"{}]*", re.ASCII)
_FORM_FIELDS_MAX = 1000


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

    JSON is laid out anew and forms are decoded, so that a secret is found whatever its escapes; the bytes themselves are
    another question.
    """
    part = body[:MAX_SHOWN_BYTES]
    if len(part) < len(body):
        return Shown(_of_the_beginning(part), cut=True)
    try:
        laid_out = orjson.dumps(_without_secrets(orjson.loads(part), 0), option=orjson.OPT_INDENT_2)
        return Shown(laid_out.decode(), cut=False)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return Shown(_of_form(part) or remove_secrets(_text_of(part)), cut=False)


def _of_the_beginning(part: bytes) -> str:
    """Without the field that was cut through, and its words closed: half a secret is not found by its shape."""
    at = part.rfind(b",", len(part) - _LAST_FIELD_BYTES)
    return remove_secrets(_text_of(part[:at] if at >= 0 else part) + '"').removesuffix('"')


def _of_form(part: bytes) -> str:
    """The fields of a form, one a line; nothing where it is none."""
    if _FORM.fullmatch(part) is None:
        return ""
    try:
        fields = parse_qsl(part.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
    except ValueError:
        return ""
    shown = ((remove_secrets(name), SECRET if _is_secret(name) else _said(value, 0)) for name, value in fields)
    return "\n".join(f"{name}={value}" for name, value in shown)


def _text_of(part: bytes) -> str:
    return part.decode("utf-8", "backslashreplace")


def _without_secrets(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, str):
        return _said(value, depth)
    if isinstance(value, list):
        return [_without_secrets(item, depth + 1) for item in value]
    if isinstance(value, dict):
        # A list of fields, each with its name beside its value.
        named = any(isinstance(value.get(name), str) and _is_secret(value[name]) for name in ("name", "key", "field"))
        return {
            remove_secrets(name): SECRET
            if _is_secret(name) or (named and name == "value")
            else _without_secrets(item, depth + 1)
            for name, item in value.items()
        }
    return value


def _said(text: str, depth: int) -> str:
    """A text without secrets, also where it is JSON of its own."""
    if text[:1] in ("{", "["):
        try:
            inner = orjson.loads(text)
            shown = _without_secrets(inner, depth + 1)
            if shown != inner:
                text = orjson.dumps(shown).decode()
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
    return remove_secrets(text)


def _is_secret(name: str) -> bool:
    return is_secret_name(name) or _SECRET_NAME.search(name) is not None
