"""Encoded words as nearly every mailer writes them; whatever looks only a little different is left to the standard library.

It needs a hundred times as long for each. Source: RFC 2047, sections 2, 4 and 6.2.
"""

from __future__ import annotations

import binascii
import re

from app.ingest.sources.email.charsets import text_codec

MARK = "=?"
_WORD = re.compile(
    r"=\?([A-Za-z0-9_-]+)\?(?:[Bb]\?((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"
    r"|[Qq]\?((?:[!-<>@-~]|=[0-9A-Fa-f]{2})*))\?="
)


def read_words(raw: str) -> str | None:
    """This will return a text with its encoded words read; None where one of them is not quite as it should be."""
    told = ""
    was_encoded = False
    for word in raw.split():
        is_encoded = MARK in word
        plain = _decoded(word) if is_encoded else word
        if plain is None:
            return None
        # The white space between two encoded words is no part of the text.
        told += plain if is_encoded and was_encoded else f" {plain}"
        was_encoded = is_encoded
    return " ".join(told.split())


def _decoded(word: str) -> str | None:
    match = _WORD.fullmatch(word)
    codec = text_codec(match[1].lower()) if match is not None else ""
    if match is None or not codec:
        return None
    try:
        raw = binascii.a2b_base64(match[2]) if match[2] is not None else binascii.a2b_qp(match[3], header=True)
        return raw.decode(codec)
    except (binascii.Error, UnicodeError):
        return None
