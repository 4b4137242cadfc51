"""Plain fields of a mail, read at a glance, say what the standard library's readers find in them."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import AddressHeader, ContentTypeHeader
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.sources.email.headers import Headers

WORDS = st.text("abzABZ019_-'. <>@\"(),;=", max_size=12)
MAILBOXES = st.one_of(
    st.tuples(WORDS, WORDS, WORDS).map(lambda parts: f"{parts[0]} <{parts[1]}@{parts[2]}>"),
    st.tuples(WORDS, WORDS).map("@".join),
    st.sampled_from(
        ["Monitor 7 <mon-1+x@a.example>", "mon@a.example", "<mon@a.example>", "A<b@c>", "a.b@c.d>", "A <b@c"]
    ),
)
TYPES = st.one_of(
    st.tuples(WORDS, WORDS, WORDS).map(lambda parts: f"{parts[0]}/{parts[1]}; charset={parts[2]}"),
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
    except (MessageError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        expected = []
    if expected:
        assert Headers({"from": [raw]}).mailbox("from") == expected[0]


@given(raw=TYPES)
def test_a_content_type_is_what_the_standard_library_reads(raw: str) -> None:
    raw = raw.strip()
    read = default.header_factory("content-type", raw)
    assert isinstance(read, ContentTypeHeader)
    media, parameters = Headers({"content-type": [raw]}).content_type()
    if raw:
        assert (media, parameters) == (
            read.content_type.lower(),
            {name.lower(): text for name, text in read.params.items()},
        )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("mon@a.example", ("mon@a.example", "")),
        ("Night Watch <Mon@A.example>", ("mon@a.example", "Night Watch")),
        ('"Watch, Night" <mon@a.example>', ("mon@a.example", "Watch, Night")),
        ("nobody", ("nobody", "")),
        ("", ("", "")),
    ],
)
def test_a_mailbox(raw: str, expected: tuple[str, str]) -> None:
    assert Headers({"from": [raw]}).mailbox("from") == expected
