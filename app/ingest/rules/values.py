"""Turning a stranger's JSON into clean values. Nothing here raises on any JSON value.

Every string that leaves is free of NUL (PostgreSQL stores none) and no longer than its limit; every time is aware and
of this age; every link is http or https.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson

from app.incidents.schemas import Link

ELLIPSIS = "…"
TITLE_MAX = 500
DESCRIPTION_MAX = 16_384
LABEL_NAME_MAX = 128
LABEL_VALUE_MAX = 1024
ANNOTATION_MAX = 4096
LABELS_MAX = 64
LINKS_MAX = 20
URL_MAX = 2048
WARNING_MAX = 300

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_RUBY_OFFSET = re.compile(r"(:\d{2}(?:\.\d+)?) (?:UTC|([+-]\d{2}:?\d{2}))\Z", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(value: object, *, limit: int) -> str:
    """This will return ``value`` as text: NUL and lone surrogates replaced, cut at ``limit`` code points with a mark."""
    text = value if isinstance(value, str) else _as_text(value)
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if not text.isascii():
        try:
            text.encode()  # many times as fast as the pattern, and it fails on lone surrogates only
        except UnicodeEncodeError:
            text = _LONE_SURROGATE.sub("\ufffd", text)
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # nested deeper than the encoder follows
        return "[nested too deeply]"


def one_line(value: object, *, limit: int = TITLE_MAX) -> str:
    """This will return clean text without line breaks and control characters, for titles."""
    if isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= limit:
        return _spaced(value)  # nearly every text there is
    text = clean_text(value, limit=limit * 4)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    plain = _spaced(text)
    return plain if len(plain) <= limit else plain[: limit - 1] + ELLIPSIS


def _spaced(text: str) -> str:
    """Blanks around the text and repeated ones taken out; what is printable holds no other white space."""
    return " ".join(text.split()) if "  " in text else text.strip()


def clean_mapping(value: object, *, value_limit: int = LABEL_VALUE_MAX) -> dict[str, str]:
    """This will return up to 64 clean pairs, in the order of their names; anything but an object is empty."""
    if not isinstance(value, Mapping):
        return {}
    names = sorted(str(name) for name in value)[:LABELS_MAX] if len(value) > LABELS_MAX else value
    return {clean_text(name, limit=LABEL_NAME_MAX): clean_text(value[name], limit=value_limit) for name in names}


def mapping_warnings(value: object, *, what: str) -> Iterator[str]:
    """This will say what ``clean_mapping`` had to leave out."""
    if value is not None and not isinstance(value, Mapping):
        yield f"{what} is no object and was left out"
    elif isinstance(value, Mapping) and len(value) > LABELS_MAX:
        yield f"{len(value)} {what}: the first {LABELS_MAX} by name were kept"


def parse_time(value: object) -> datetime | None:
    """This will return an aware time between 1990 and 2200, None for everything else.

    Numbers are seconds, milli-, micro- or nanoseconds since 1970, told apart by their size, and may be text, with a
    fraction or none. Other text is ISO 8601, and without an offset it is UTC; ``2026-03-02 10:15:00 UTC`` and
    ``2026-03-02 10:15:00 +0100``, as Ruby writes them, are read too. Alertmanager's zero time, year 1, is None.
    """
    if isinstance(value, str):
        return _parse_text_time(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -1e19 < value < 1e19:
        return None
    seconds = float(value)
    while seconds > 1e11:
        seconds /= 1000
    try:
        return _of_this_age(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _parse_text_time(text: str) -> datetime | None:
    if len(text) > 64:
        return None
    whole, point, fraction = text.partition(".")
    if text.isascii() and whole.isdigit() and (fraction.isdigit() or not point):
        return parse_time(float(text)) if 9 <= len(whole) <= 19 else None
    try:
        found = _from_iso(text)
        return _of_this_age((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _from_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(_RUBY_OFFSET.sub(r"\1\2", text))


def _of_this_age(found: datetime) -> datetime | None:
    return found if _EARLIEST <= found < _LATEST else None


def safe_link(title: str, url: object) -> Link | None:
    """This will return the link if it is http or https, None for ``javascript:`` and the like."""
    text = clean_text(url, limit=URL_MAX + 1).strip()
    if not text or len(text) > URL_MAX or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return Link(one_line(title, limit=100), text)


def links(*candidates: tuple[str, object]) -> tuple[Link, ...]:
    """This will return the usable links among ``(title, url)``, each url once."""
    found: dict[str, Link] = {}
    for title, url in candidates[: LINKS_MAX * 2]:
        link = safe_link(title, url)
        if link is not None:
            found.setdefault(link.url, link)
    return tuple(found.values())[:LINKS_MAX]
