"""A mail's parts within bounds: how many, how deep, how long, whatever the mail says of itself.

The standard library's parser builds every part of every depth before anybody can look; a mail of a few megabytes makes
it recurse without end. So the parts are cut here, and only their headers are read by it.
Source: RFC 2045, section 6 (encodings); RFC 2046, section 5.1.1 (boundaries).
"""

from __future__ import annotations

import binascii
import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.ingest.rules import values
from app.ingest.rules.html_text import html_to_text, tidy
from app.ingest.sources.email.charsets import text_codec
from app.ingest.sources.email.headers import Headers, read_headers, split_mail

PARTS_MAX = 100
DEPTH_MAX = 8
TEXT_BYTES_MAX = 262_144
TEXT_MAX = 32_768
_BOUNDARY_MAX = 200
_LINE_MAX = 100


@dataclass
class Content:
    """What a mail holds.

    Attributes:
        plain: Texts for people, in order.
        html: The same for those who see pages.
        attachments: Name and media type of what was left out.
        media: Media types of all parts that were looked at.
        warnings: What had to be bent or left out.
    """

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    attachments: list[tuple[str, str]] = field(default_factory=list)
    media: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    parts: int = 0

    def warn(self, text: str) -> None:
        """This will note something, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def text(self, *, prefer_html: bool) -> str:
        """This will return the mail's text: the plain one, the other where there is none or it is preferred."""
        pages = [] if self.plain and not prefer_html else [html_to_text(page) for page in self.html]
        chosen = [text for text in pages if text] or [tidy(text) for text in self.plain]
        joined = "\n\n".join(text for text in chosen if text)
        return values.clean_text(joined, limit=TEXT_MAX)


def read_content(headers: Headers, body: bytes) -> Content:
    """This will walk through the parts of a mail and collect its texts."""
    found = Content()
    waiting = [(headers, body, 0)]
    while waiting:
        part, raw, depth = waiting.pop()
        if found.parts >= PARTS_MAX:
            found.warn(f"the mail has more than {PARTS_MAX} parts: the rest was not read")
            break
        found.parts += 1
        media, parameters = part.content_type()
        found.media.add(media)
        boundary = parameters.get("boundary", "")
        if not media.startswith("multipart/") or not boundary:
            _leaf(found, part, raw, media, parameters)
        elif depth >= DEPTH_MAX:
            found.warn(f"parts nested deeper than {DEPTH_MAX} were not read")
        else:
            inner = _parts(raw, boundary[:_BOUNDARY_MAX], limit=PARTS_MAX - found.parts + 1)
            # Last in, first out: the first part is looked at next.
            waiting += [(read_headers(block), rest, depth + 1) for block, rest in map(split_mail, reversed(inner))]
    return found


def _parts(body: bytes, boundary: str, *, limit: int) -> list[bytes]:
    """This will cut a multipart body at its boundary lines; the last part may lack its end."""
    body = b"\n" + body
    mark = b"\n--" + boundary.encode("utf-8", "replace")
    parts: list[bytes] = []
    start = -1
    at = body.find(mark)
    while at >= 0 and len(parts) < limit:
        behind = at + len(mark)
        # Looked for a few bytes ahead only: without a line end it is no boundary line, and searching on costs the square.
        end = body.find(b"\n", behind, behind + _LINE_MAX)
        line = body[behind : end if end >= 0 else behind + _LINE_MAX].strip()
        if line in (b"", b"--") and (end >= 0 or behind + _LINE_MAX >= len(body)):
            if start >= 0:
                parts.append(body[start:at].removesuffix(b"\r"))
            if line or end < 0:
                return parts
            start = end + 1
        at = body.find(mark, behind if end < 0 else end)
    if start >= 0 and at < 0:
        parts.append(body[start:])
    return parts


def _leaf(found: Content, part: Headers, raw: bytes, media: str, parameters: Mapping[str, str]) -> None:
    disposition = part.first("content-disposition").partition(";")[0].strip().lower()
    name = values.one_line(parameters.get("name") or _file_name(part), limit=100)
    if media not in ("text/plain", "text/html") or disposition == "attachment":
        if media.startswith("message/") or raw.strip():
            found.attachments.append((name, values.one_line(media, limit=100)))
            found.warn("attachments were left out")
        return
    plain = _undo_encoding(found, raw, part.first("content-transfer-encoding").strip().lower())
    text = _decode(plain, parameters.get("charset", ""), found)
    (found.html if media == "text/html" else found.plain).append(text)


def _file_name(part: Headers) -> str:
    return part.first("content-disposition").partition("filename=")[2].partition(";")[0].strip(' "')


def _undo_encoding(found: Content, raw: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        cut = raw[: TEXT_BYTES_MAX * 2]
        usable = cut.translate(None, _NOT_BASE64)
        try:
            plain = binascii.a2b_base64(usable[: len(usable) // 4 * 4] if len(usable) % 4 == 1 else usable + b"==")
        except (binascii.Error, ValueError):
            found.warn("a part that says it is base64 is not")
            plain = cut
    elif encoding == "quoted-printable":
        plain = binascii.a2b_qp(raw[: TEXT_BYTES_MAX * 3])
    else:
        if encoding not in ("", "7bit", "8bit", "binary"):
            found.warn(f"a part's encoding {encoding[:40]!r} is not known: it was taken as it is")
        plain = raw
    if len(plain) > TEXT_BYTES_MAX:
        found.warn(f"a text longer than {TEXT_BYTES_MAX} bytes was cut")
    return plain[:TEXT_BYTES_MAX]


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))


def _decode(raw: bytes, charset: str, found: Content) -> str:
    """By what the part says, where that is a character set and true; by UTF-8 and then Windows' Latin otherwise."""
    said = charset.strip().lower()
    codec = text_codec(said) if said else "utf-8"
    if not codec:
        found.warn(f"character set {said[:40]!r} is not known")
    for candidate in (codec, "utf-8"):
        if candidate:
            try:
                # A text that was cut may end within a character.
                return codecs.getincrementaldecoder(candidate)().decode(raw, len(raw) < TEXT_BYTES_MAX)
            except (UnicodeError, LookupError):
                if said:
                    found.warn(f"a text is not {candidate}, as its mail says")
    return raw.decode("cp1252", "replace")
