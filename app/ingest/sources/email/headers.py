"""Header fields of a mail: cut into fields within bounds, decoded by the standard library, each on its own.

Source: RFC 5322, section 2.2; RFC 2047 and RFC 6532 for what is not ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import AddressHeader, ContentTypeHeader, HeaderRegistry
from functools import lru_cache
from typing import Any

from app.ingest.rules import values
from app.ingest.sources.email.encoded_words import MARK, read_words

BLOCK_MAX = 65_536
FIELDS_MAX = 300
VALUE_MAX = 4096
"""The standard library reads a field with recursion and repeated copying; at this length that costs little."""

_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]{0,75})[ \t]*:(.*)", re.DOTALL)
# What nearly every mail has, read at a glance; the standard library's reader of structured fields takes a hundred times
# as long. Whatever looks only a little different is left to it.
_PLAIN_MAILBOX = re.compile(
    r"(?:([^<>]*)<)?([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(>?)"
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_'-]+(?: [A-Za-z0-9_'-]+)*")
_QUOTED_NAME = re.compile(r'"([A-Za-z0-9_\'.,:;()/&+#-]+(?: [A-Za-z0-9_\'.,:;()/&+#-]+)*)"')
_ENCODED_NAME = re.compile(r"=\?[^\s\"]+\?=(?: =\?[^\s\"]+\?=)*")
_PLAIN_TYPE = re.compile(
    r"([A-Za-z]+/[A-Za-z0-9.+-]+)((?:; *[A-Za-z-]+=(?:[A-Za-z0-9._+-]+|\"[A-Za-z0-9 '()+_,./:=-]+\"))*)"
)
_PARAMETER = re.compile(r"; *([A-Za-z-]+)=\"?([^;\"]+)")
_REGISTRY = HeaderRegistry()
# What its readers of structured fields raise on odd input, besides their own errors.
_ODD = (MessageError, ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError, RecursionError)


@dataclass
class Headers:
    """The fields of one mail or part, names in lower case; of a field that comes twice both are kept."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    is_cut: bool = False
    _texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _mailboxes: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)
    _type: tuple[str, Mapping[str, str]] | None = field(default=None, repr=False, compare=False)

    def first(self, name: str) -> str:
        """This will return the raw text of the first field of this name, or an empty one."""
        found = self.fields.get(name)
        return found[0] if found else ""

    def text(self, name: str) -> str:
        """This will return the first field of this name, decoded, on one line."""
        found = self._texts.get(name)
        if found is None:
            raw = self.first(name)
            found = self._texts[name] = decoded(raw) if raw else ""
        return found

    def count(self, name: str) -> int:
        """This will return how many fields have this name."""
        return len(self.fields.get(name, ()))

    def mailbox(self, name: str) -> tuple[str, str]:
        """This will return address and display name of the first mailbox in the field, empty where there is none."""
        if name not in self._mailboxes:
            self._mailboxes[name] = _mailbox(name, self.first(name))
        return self._mailboxes[name]

    def content_type(self) -> tuple[str, Mapping[str, str]]:
        """This will return media type and parameters; ``text/plain`` where there is none or it cannot be read."""
        if self._type is None:
            self._type = _content_type(self.first("content-type"))
        return self._type


def split_mail(raw: bytes) -> tuple[bytes, bytes]:
    """This will return the header block and the body of a mail or part."""
    if raw.startswith((b"\r\n", b"\n")):
        return b"", raw.lstrip(b"\r\n") if len(raw) < 4 else raw[1 if raw[:1] == b"\n" else 2 :]
    at, size = raw.find(b"\r\n\r\n"), 4
    lone = raw.find(b"\n\n", 0, at if at >= 0 else len(raw))
    if lone >= 0:
        at, size = lone, 2
    return (raw[:at], raw[at + size :]) if at >= 0 else (raw, b"")


def read_headers(block: bytes) -> Headers:
    """This will cut a header block into its fields; what is no field is passed over."""
    found = Headers(is_cut=len(block) > BLOCK_MAX)
    # A line that begins with white space belongs to the field before it.
    text = _as_text(block[:BLOCK_MAX]).replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
    lines = text.split("\n", FIELDS_MAX)
    if len(lines) > FIELDS_MAX:
        found.is_cut = True
    for line in lines[:FIELDS_MAX]:
        match = _FIELD.match(line)
        if match is not None:
            found.fields.setdefault(match[1].lower(), []).append(match[2].strip()[:VALUE_MAX])
    return found


def decoded(raw: str) -> str:
    """This will return a field's text on one line, its encoded words read whatever they claim to be."""
    text = read_words(raw) if MARK in raw else raw
    if text is None:
        read = _read("subject", raw)
        text = raw if read is None else str(read)
    return values.one_line(text, limit=VALUE_MAX)


def _content_type(raw: str) -> tuple[str, Mapping[str, str]]:
    glance = _PLAIN_TYPE.fullmatch(raw)
    if glance is not None:
        pairs = [(name.lower(), text) for name, text in _PARAMETER.findall(glance[2])]
        if len(dict(pairs)) == len(pairs):
            return glance[1].lower(), dict(pairs)
    read = _read("content-type", raw) if raw else None
    if not isinstance(read, ContentTypeHeader):
        return "text/plain", {}
    try:
        parameters = {str(name).lower(): str(value) for name, value in read.params.items()}
        return read.content_type.lower(), parameters
    except _ODD:
        return "text/plain", {}


def _mailbox(name: str, raw: str) -> tuple[str, str]:
    glance = _PLAIN_MAILBOX.fullmatch(raw)
    if glance is not None and (glance[1] is not None) == bool(glance[3]):
        shown = _display_name((glance[1] or "").removesuffix(" "))
        if shown is not None:
            return glance[2].lower(), shown
    read = _read(name, raw) if raw else None
    with suppress(*_ODD):
        if isinstance(read, AddressHeader) and read.addresses:
            return read.addresses[0].addr_spec.lower(), read.addresses[0].display_name or ""
    plain = re.search(r"[^\s<>,;:\"]{1,200}@[^\s<>,;:\"]{1,200}", raw)
    return (plain.group().lower() if plain is not None else "", "")


def _display_name(said: str) -> str | None:
    """The name before a plain address, None where it takes more than a glance."""
    if not said or _PLAIN_NAME.fullmatch(said):
        return said
    quoted = _QUOTED_NAME.fullmatch(said)
    if quoted is not None:
        return quoted[1]
    return read_words(said) if _ENCODED_NAME.fullmatch(said) else None


@lru_cache(maxsize=16)
def _reader(name: str) -> Callable[[str, str], Any]:
    """The class for fields of a name; the standard library makes a new one for each field."""
    found: Callable[[str, str], Any] = _REGISTRY[name]
    return found


def _read(name: str, raw: str) -> Any:
    try:
        return _reader(name)(name, raw)
    except _ODD:
        return None


def _as_text(block: bytes) -> str:
    """8-bit fields are UTF-8 (RFC 6532), or else what the oldest senders meant."""
    try:
        return block.decode()
    except UnicodeDecodeError:
        return block.decode("cp1252", "replace")
