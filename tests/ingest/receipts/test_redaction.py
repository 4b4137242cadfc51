"""What a body shows to those who look after the mapping: its shape, and nothing that opens a door."""

from __future__ import annotations

import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.rules.redaction import MAX_SHOWN_BYTES, redact_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        (b'{"password": "hunter2"}', "hunter2"),
        (b'{"p\\u0061ssword": "hunter2"}', "hunter2"),
        (b'{"auth": {"token": {"value": 12345678}}}', "12345678"),
        (b'{"text": "use \\u0074oken=abcdef123456"}', "abcdef123456"),
        (b'{"url": "https://user:pa55@db.example.com/"}', "pa55"),
        (b"title=x&password=hunter2&a=b", "hunter2"),
        (b"Authorization: Bearer abcdefgh12345678\n\nHello", "abcdefgh12345678"),
        (b'{"broken": "password=hunter2', "hunter2"),
        (b"\xff\xfe password=hunter2", "hunter2"),
        (b'[["ghp_0123456789abcdefABCDEF0123456789"]]', "ghp_0123456789"),
        (b"payload=%7B%22db_password%22%3A%22hunter2%22%7D&a=1", "hunter2"),
        (b'{"Message": "{\\"inner\\": \\"{\\\\\\"secret\\\\\\": \\\\\\"hunter2\\\\\\"}\\"}"}', "hunter2"),
        (b'{"details": [{"key": "password", "value": "hunter2"}]}', "hunter2"),
        (b'{"api key": "hunter2"}', "hunter2"),
        (b'{"passphrase": "hunter2"}', "hunter2"),
        (b'{"auth": "hunter2"}', "hunter2"),
        (b'{"a": "' + b"x" * (MAX_SHOWN_BYTES - 40) + b'", "password": "hunter2hunter2hunter2"}', "hunter2"),
        (b'{"a": "' + b"x" * (MAX_SHOWN_BYTES - 40) + b'", "password": "hunter2,hunter2,hunter2"}', "hunter2"),
    ],
    ids=[
        "name",
        "escaped-name",
        "nested",
        "escaped-text",
        "url",
        "form",
        "mail",
        "broken",
        "bytes",
        "shape",
        "json-in-form",
        "json-in-json-in-json",
        "pair",
        "name-with-space",
        "phrase",
        "auth",
        "cut",
        "cut-at-comma",
    ],
)
def test_credentials_are_hidden_however_they_are_written(body: bytes, hidden: str) -> None:
    assert hidden not in redact_body(body).text


def test_what_is_no_credential_stays() -> None:
    body = b'{"title": "Disk full", "labels": {"instance": "db-1"}, "value": 97.5, "nothing": null}'
    assert orjson.loads(redact_body(body).text) == orjson.loads(body)


@settings(max_examples=200)
@given(JSON)
def test_any_json_keeps_its_shape(document: object) -> None:
    shown = redact_body(orjson.dumps(document))
    assert type(orjson.loads(shown.text)) is type(document)
    assert redact_body(shown.text.encode()).text == shown.text, "looking twice hides nothing more"


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_become_text(body: bytes) -> None:
    redact_body(body).text.encode()


@pytest.mark.parametrize(
    "piece", [b"-", b"x-", b"a.b-", b"password ", b'{"a":'], ids=["dash", "x", "dots", "word", "deep"]
)
def test_hostile_text_is_cut_and_costs_seconds_at_the_most(piece: bytes) -> None:
    body = piece * (4 * MAX_SHOWN_BYTES // len(piece))
    began = time.process_time()
    shown = redact_body(body)
    assert shown.cut is True
    assert time.process_time() - began < 10
    assert not redact_body(b'{"a":' * 500 + b"1" + b"}" * 500).cut
