"""Text from a desk becomes plain, and two reports of one error become equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.enhancement.rules.entities import extract
from app.enhancement.rules.text import (
    content_words,
    mask,
    plain_text,
    sentences,
    signature,
    signature_hash,
    strip_hidden,
)


def test_html_becomes_lines_without_scripts() -> None:
    raw = "<p>Disk full on <b>web01</b></p><script>alert(1)</script><div>Error&nbsp;&lt;28&gt;</div>"
    assert plain_text(raw) == "Disk full on web01\nError <28>"


def test_hidden_characters_are_removed() -> None:
    hidden = "pay\u200b\u202edlrow\u202c\u00ad \U000e0049\U000e0067now\x1b[31m\x00"
    assert strip_hidden(hidden) == "paydlrow now[31m"


@given(st.text(max_size=500))
def test_plain_text_is_bounded_and_visible(raw: str) -> None:
    text = plain_text(raw, limit=100)
    assert len(text) <= 100
    assert strip_hidden(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-01-05T12:00:01Z ERROR pool 17 exhausted", "2026-02-11 08:09:10,123 ERROR pool 3 exhausted"),
        ("connection to 10.0.0.5:5432 refused", "connection to 192.168.7.1:5432 refused"),
        ("failed to open /var/log/a.log", "failed to open /srv/b/c.log"),
        ("job 0191a2b3-c4d5-7e6f-8a9b-0c1d2e3f4a5b failed", "job 1191a2b3-c4d5-7e6f-8a9b-0c1d2e3f4a5b failed"),
    ],
)
def test_reports_of_one_error_share_a_signature(one: str, other: str) -> None:
    assert mask(one) == mask(other)
    assert signature_hash(f"Hello,\n{one}\nThanks") == signature_hash(other)


def test_different_errors_differ_and_prose_has_no_signature() -> None:
    assert signature_hash("disk error on web") != signature_hash("network error on web")
    assert signature("please order a new keyboard") == ""
    assert signature_hash("please order a new keyboard") == ""


def test_entities_are_found_once_and_validated() -> None:
    found = extract(
        "web01 and WEB01 (10.1.2.3, 999.1.1.1, 2001:db8::7) return HTTP 503 at https://shop.example.com/pay?x=1; "
        "ORA-00942, ECONNREFUSED, 0x80070005, see app.log and java.lang.OutOfMemoryError at 12:30:15"
    )
    assert found.ips == ("10.1.2.3", "2001:db8::7")
    assert found.hosts[0] == "web01"
    assert "shop.example.com" in found.hosts
    assert "app.log" not in found.hosts
    assert found.urls == ("https://shop.example.com/pay?x=1",)
    assert {"ORA-00942", "ECONNREFUSED", "0x80070005", "HTTP 503"} <= set(found.codes)


def test_sentences_and_words() -> None:
    assert sentences("Restart it. Then check 5 logs.\nDone") == ["Restart it.", "Then check 5 logs.", "Done"]
    assert content_words("The disks were filling") == content_words("disk filled")


@given(st.text(max_size=400))
def test_extraction_never_fails(text: str) -> None:
    assert all(ip in text for ip in extract(text).ips)
