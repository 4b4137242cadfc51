"""Reading single values of a request strictly: headers, timestamps, ids, JSON pointers.

Python's own parsers are too kind here: ``int()`` takes ``1_6``, spaces and Arabic digits, ``float()`` takes
``nan``, ``fromisoformat`` takes a dozen spellings. Each value has exactly one accepted spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from app.net.signing.format import TimestampSpec

MAX_ID_BYTES: Final = 255
_EPOCH_SECONDS = re.compile(rb"0|[1-9][0-9]{0,11}")
_EPOCH_MILLISECONDS = re.compile(rb"0|[1-9][0-9]{0,14}")
_ISO = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
_ID = re.compile(rb"[!-~]{1,255}")

HeaderReader = Callable[[dict[bytes, bytes]], bytes | None]
HeaderPicker = Callable[[Sequence[tuple[bytes, bytes]]], dict[bytes, bytes] | None]


def first_present(names: Sequence[str]) -> HeaderReader:
    """This will return a reader of the first header of ``names`` that the request has."""
    encoded = tuple(name.encode() for name in names)
    if len(encoded) == 1:
        only = encoded[0]
        return lambda found: found.get(only)

    def read(found: dict[bytes, bytes]) -> bytes | None:
        for name in encoded:
            value = found.get(name)
            if value is not None:
                return value
        return None

    return read


def compile_picker(names: Sequence[str], max_bytes: int) -> HeaderPicker:
    """This will return a function that picks ``names`` out of the raw headers.

    It answers None when one of them is sent twice or is too long: which copy counts would be a guess, and
    another part of the system might guess differently.
    """
    wanted = frozenset(name.encode() for name in names)

    def pick(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes] | None:
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in wanted:
                if name in found or len(value) > max_bytes:
                    return None
                found[name] = value
        return found

    return pick


def timestamp_parser(spec: TimestampSpec) -> Callable[[bytes], float | None]:
    """This will return a parser from the one accepted spelling to seconds since 1970, None for all others."""
    if spec.format == "unix_s":
        return lambda raw: float(int(raw)) if _EPOCH_SECONDS.fullmatch(raw) else None
    if spec.format == "unix_ms":
        return lambda raw: int(raw) / 1000 if _EPOCH_MILLISECONDS.fullmatch(raw) else None
    return _parse_iso


def _parse_iso(raw: bytes) -> float | None:
    if _ISO.fullmatch(raw) is None:
        return None
    try:
        return datetime.fromisoformat(raw.decode()).timestamp()
    except (ValueError, OverflowError):  # the 31st of February; an offset of +99:99; year 1 in the far east
        return None


def to_datetime(seconds: float) -> datetime | None:
    """This will return the aware time, or None where the calendar ends."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def id_pattern(forbidden: bytes = b"") -> re.Pattern[bytes]:
    """This will return the pattern of a value that stands in signed bytes: printable, without its separators."""
    if not forbidden:
        return _ID
    allowed = bytes(code for code in range(0x21, 0x7F) if code not in forbidden)
    return re.compile(b"[" + re.escape(allowed) + b"]{1,%d}" % MAX_ID_BYTES)


def text_pattern(forbidden: bytes = b"") -> re.Pattern[bytes]:
    """This will return the pattern of a signed header, method or path: as ``id_pattern``, with spaces, longer."""
    allowed = bytes(code for code in range(0x20, 0x7F) if code not in forbidden)
    return re.compile(b"[" + re.escape(allowed) + b"]{0,8192}")


def clean_id(raw: bytes | None) -> str | None:
    """This will return an id that may be stored and shown, None for an absent or odd one."""
    if raw is None or _ID.fullmatch(raw) is None:
        return None
    return raw.decode("ascii")


def pointer_reader(pointer: str) -> Callable[[object], bytes | None]:
    """This will return a reader of one string or integer of a parsed document. Source: RFC 6901."""
    keys = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])

    def read(document: object) -> bytes | None:
        for key in keys:
            if isinstance(document, dict) and key in document:
                document = document[key]
            elif isinstance(document, list) and key.isascii() and key.isdigit() and int(key) < len(document):
                document = document[int(key)]
            else:
                return None
        if isinstance(document, str):
            return document.encode("utf-8", "replace")
        if isinstance(document, int) and not isinstance(document, bool):
            return str(document).encode()
        return None

    return read


def parse_json(body: bytes) -> object:
    """This will return the parsed body, None if it is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
