"""Plain fields of a mail, read at a glance, say what the standard library's readers find in them."""

from __future__ import annotations

from base64 import b64encode
from email.errors import MessageError
from email.headerregistry import AddressHeader, ContentTypeHeader
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.rules import values
from app.ingest.sources.email.encoded_words import read_words
from app.ingest.sources.email.headers import VALUE_MAX, Headers, decoded

# What the library's own readers raise on odd input; then there is nothing to compare with.
ODD = (MessageError, ValueError, TypeError, AttributeError, IndexError, KeyError)
WORDS = st.text("abzABZ019_-'. <>@\"(),;=", max_size=12)
SPOKEN = st.text("aZ0 _-'.,:;()ßé東€", min_size=1, max_size=30)


def encoded(text: str, charset: str, way: str) -> str:
    """The text as one encoded word."""
    raw = text.encode(charset)
    plain = b64encode(raw).decode() if way in "Bb" else "".join(f"={byte:02X}" if byte != 32 else "_" for byte in raw)
    return f"=?{charset}?{way}?{plain}?="


ENCODED = st.builds(encoded, SPOKEN, st.sampled_from(["utf-8", "UTF-8", "utf-16"]), st.sampled_from("BbQq"))
ODD_WORDS = st.sampled_from(
    ["=?utf-8?q?a=?=", "=?utf-8?q?=ff?=", "=?x?q?a?=", "=?utf-8?b?YWJ?=", "=?a?b?c", "x=?utf-8?q?a?="]
)
TEXTS = st.lists(st.one_of(ENCODED, ENCODED, WORDS, ODD_WORDS), max_size=4).map(" ".join)
# One encoded word only: between two in a name some versions of the library leave the blank that RFC 2047 takes out.
NAMES = st.one_of(WORDS, ENCODED, SPOKEN.map('"{}"'.format))
MAILBOXES = st.one_of(
    st.tuples(NAMES, WORDS, WORDS).map(lambda parts: f"{parts[0]} <{parts[1]}@{parts[2]}>"),
    NAMES.map("{} <mon@a.example>".format),
    st.tuples(WORDS, WORDS).map("@".join),
    st.sampled_from(
        ["Monitor 7 <mon-1+x@a.example>", "mon@a.example", "<mon@a.example>", "A<b@c>", "a.b@c.d>", "A <b@c"]
    ),
)
PARAMETERS = st.builds(
    "{}={}".format,
    st.sampled_from(["charset", "Charset", "boundary", "format", "name", "name*", "name*0", "x-a"]),
    st.one_of(WORDS, WORDS.map('"{}"'.format), st.sampled_from(["UTF-8", '"--=_Part 1"', '"a;b"', "us-ascii", "b"])),
)
TYPES = st.one_of(
    st.tuples(WORDS, WORDS, WORDS).map(lambda parts: f"{parts[0]}/{parts[1]}; charset={parts[2]}"),
    st.tuples(st.sampled_from(["; ", ";", ";  "]), st.lists(PARAMETERS, max_size=3)).map(
        lambda parts: parts[0].join(["multipart/Mixed", *parts[1]])
    ),
    st.sampled_from(
        ["text/plain", 'TEXT/Html; charset="UTF-8"', "text/plain;charset=us-ascii", "multipart/mixed; boundary=x"]
    ),
)


@given(raw=MAILBOXES)
def test_a_mailbox_is_what_the_standard_library_reads(raw: str) -> None:
    raw = raw.strip()
    try:
        read = default.header_factory("from", raw)
        assert isinstance(read, AddressHeader)
        expected = [(one.addr_spec.lower(), one.display_name) for one in read.addresses]
    except ODD:
        expected = []
    if expected:
        address, name = Headers({"from": [raw]}).mailbox("from")
        assert (address, name.split()) == (expected[0][0], expected[0][1].split())


@given(raw=TYPES)
def test_a_content_type_is_what_the_standard_library_reads(raw: str) -> None:
    raw = raw.strip()
    try:
        read = default.header_factory("content-type", raw)
        assert isinstance(read, ContentTypeHeader)
        expected = (read.content_type.lower(), {name.lower(): text for name, text in read.params.items()})
    except ODD:
        return
    if raw:
        assert Headers({"content-type": [raw]}).content_type() == expected


@given(raw=TEXTS)
def test_a_text_is_what_the_standard_library_reads(raw: str) -> None:
    try:
        expected = str(default.header_factory("subject", raw))
    except ODD:
        return
    assert decoded(raw) == values.one_line(expected, limit=VALUE_MAX)


@given(texts=st.lists(SPOKEN, min_size=1, max_size=3), way=st.sampled_from("BbQq"))
def test_what_was_encoded_is_read(texts: list[str], way: str) -> None:
    raw = " ".join(encoded(text, "utf-8", way) for text in texts)
    assert read_words(raw) == " ".join("".join(texts).split())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("mon@a.example", ("mon@a.example", "")),
        ("Night Watch <Mon@A.example>", ("mon@a.example", "Night Watch")),
        ('"Watch, Night" <mon@a.example>', ("mon@a.example", "Watch, Night")),
        ("=?utf-8?q?Stra=C3=9F?= =?utf-8?q?enwacht?= <w@a.example>", ("w@a.example", "Straßenwacht")),
        ("nobody", ("nobody", "")),
        ("", ("", "")),
    ],
)
def test_a_mailbox(raw: str, expected: tuple[str, str]) -> None:
    assert Headers({"from": [raw]}).mailbox("from") == expected
