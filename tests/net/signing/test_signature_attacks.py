"""Attacks on signatures and timestamps, by the ids of the catalogue (A01 to A19)."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from app.net.signing import (
    RefusalReason,
    Refused,
    Verified,
    verify,
)
from tests.fixtures.cost import processor_seconds
from tests.net.signing.senders import (
    BODY,
    GITHUB,
    LINEAR,
    NOW,
    NOW_S,
    PAGERDUTY,
    SLACK,
    STANDARD,
    STRIPE,
    TEXT,
    WHSEC,
    ZENDESK,
    Headers,
    base64_mac,
    github,
    hex_mac,
    request,
    secret,
    slack,
    standard,
    webhook_signature,
)


def judge_github(headers: Headers, body: bytes = BODY) -> Verified | Refused:
    return verify(GITHUB, request(headers, body), [secret(GITHUB, TEXT)], NOW)


def judge_standard(headers: Headers, body: bytes = BODY, *, later: timedelta = timedelta()) -> Verified | Refused:
    return verify(STANDARD, request(headers, body), [secret(STANDARD, WHSEC)], NOW + later)


def judge_slack(headers: Headers, body: bytes = BODY, *, later: timedelta = timedelta()) -> Verified | Refused:
    return verify(SLACK, request(headers, body), [secret(SLACK, TEXT)], NOW + later)


def judge_stripe(value: str, body: bytes = BODY) -> Verified | Refused:
    return verify(STRIPE, request([("stripe-signature", value)], body), [secret(STRIPE, TEXT)], NOW)


def judge_pagerduty(value: str) -> Verified | Refused:
    return verify(PAGERDUTY, request([("x-pagerduty-signature", value)]), [secret(PAGERDUTY, TEXT)], NOW)


def test_the_attacks_start_from_requests_that_are_accepted() -> None:
    """Without this, every refusal below could have another cause."""
    assert isinstance(judge_github(github()), Verified)
    assert isinstance(judge_standard(standard()), Verified)
    assert isinstance(judge_slack(slack()), Verified)
    assert isinstance(judge_stripe(f"t={NOW_S},v1={hex_mac(b'%d.' % NOW_S + BODY)}"), Verified)
    assert isinstance(judge_pagerduty("v1=" + hex_mac(BODY)), Verified)


def test_a01_no_signature_header() -> None:
    assert judge_github([]) == Refused(RefusalReason.MISSING)
    assert judge_standard(standard()[:2]) == Refused(RefusalReason.MISSING)
    assert judge_standard(standard()[1:]) == Refused(RefusalReason.MISSING)
    assert judge_slack(slack()[1:]) == Refused(RefusalReason.MISSING)


@pytest.mark.parametrize("value", ["", "sha256=", "sha256", "="])
def test_a02_empty_signatures_of_a_prefix_format(value: str) -> None:
    assert judge_github([("x-hub-signature-256", value)]) == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize("value", ["", "v1,", "v1", ",", " ", "v1, v1,"])
def test_a02_empty_signatures_of_a_list_format(value: str) -> None:
    assert judge_standard(standard(value)) == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize("value", ["", "v1=", f"t={NOW_S}", f"t={NOW_S},v1", f"t={NOW_S},v1=", "=", ",,,"])
def test_a02_empty_signatures_of_a_key_value_format(value: str) -> None:
    assert isinstance(judge_stripe(value), Refused)


@pytest.mark.parametrize("kept", range(0, 64, 2))
def test_a03_the_beginning_of_the_right_digest(kept: int) -> None:
    cut = hex_mac(BODY)[:kept]
    assert judge_github([("x-hub-signature-256", "sha256=" + cut)]) == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize("more", ["0", "00", " ", "\x00", "=", "a" * 64])
def test_a04_the_right_digest_with_more_behind_it(more: str) -> None:
    value = "sha256=" + hex_mac(BODY) + more
    assert judge_github([("x-hub-signature-256", value)]) == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize(
    "junk",
    [b"\xff\xfe" * 32, "Ω".encode() * 32, b"g" * 64, b"\x00" * 64, b"!" * 44, "٣".encode() * 32],
    ids=["latin", "greek", "not-hex", "nul", "not-base64", "arabic-digits"],
)
def test_a05_signatures_that_are_no_text_of_ours(junk: bytes) -> None:
    assert judge_github([("x-hub-signature-256", b"sha256=" + junk)]) == Refused(RefusalReason.MALFORMED)
    assert judge_standard([*standard()[:2], ("webhook-signature", b"v1," + junk)]) == Refused(RefusalReason.MALFORMED)


def test_a05_a_megabyte_of_signature_is_refused_unread() -> None:
    headers: Headers = [*standard()[:2], ("webhook-signature", b"v1," + b"A" * 1_000_000)]
    assert judge_standard(headers) == Refused(RefusalReason.MALFORMED)
    assert processor_seconds(lambda: judge_standard(headers), tries=20) < 0.005


def test_a06_upper_case_hex() -> None:
    value = "sha256=" + hex_mac(BODY).upper()
    assert judge_github([("x-hub-signature-256", value)]) == Refused(RefusalReason.MALFORMED)


def respelled() -> list[str]:
    """Every other spelling of the right base64: spare bits, padding, alphabet, white space."""
    right = webhook_signature()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(right[-2])
    spare_bits = [right[:-2] + alphabet[last ^ bits] + "=" for bits in (1, 2, 3)]
    assert all(base64.b64decode(other) == base64.b64decode(right) for other in spare_bits)
    return [*spare_bits, right.rstrip("="), right + "=", right + "\n", right[:5] + "\n" + right[5:], "!" + right]


@pytest.mark.parametrize("index", range(8))
def test_a06_re_spelled_base64(index: int) -> None:
    assert judge_standard(standard("v1," + respelled()[index])) == Refused(RefusalReason.MALFORMED)


def test_a06_base64url_where_base64_is_due() -> None:
    body = next(b for b in (b"%d" % i for i in range(1000)) if set("+/") & set(webhook_signature(b)))
    urlsafe = webhook_signature(body).replace("+", "-").replace("/", "_")
    assert judge_standard(standard("v1," + urlsafe, body), body) == Refused(RefusalReason.MALFORMED)


def test_a07_the_replay_key_does_not_depend_on_how_the_signature_is_spelled() -> None:
    """Two accepted spellings exist in a list format: alone, and beside others."""
    alone = judge_standard(standard())
    beside = judge_standard(standard(f"v2,abc v1,{webhook_signature()} v1,{base64_mac(b'other')}"))

    assert isinstance(alone, Verified)
    assert isinstance(beside, Verified)
    assert alone.replay_key == beside.replay_key


def test_a08_ten_thousand_signatures() -> None:
    short = "v1,x " * 800 + "v1," + webhook_signature()
    assert judge_standard(standard(short)) == Refused(RefusalReason.MALFORMED)
    long = "v1,x " * 10_000 + "v1," + webhook_signature()
    assert judge_standard(standard(long)) == Refused(RefusalReason.MALFORMED)


def test_a08_the_right_one_counts_as_tenth_and_not_as_eleventh() -> None:
    wrong, right = base64_mac(b"other"), webhook_signature()
    assert isinstance(judge_standard(standard(" ".join(["v1," + wrong] * 9 + ["v1," + right]))), Verified)
    assert isinstance(judge_standard(standard(" ".join(["v1," + wrong] * 10 + ["v1," + right]))), Refused)


@pytest.mark.parametrize("place", range(4))
def test_a09_the_right_signature_among_wrong_ones(place: int) -> None:
    wrong = base64_mac(b"other")
    items = [f"v1,{wrong}", f"v2,{wrong}", f"v1,{wrong}"]
    items.insert(place, "v1," + webhook_signature())
    assert isinstance(judge_standard(standard(" ".join(items))), Verified)


def test_a10_the_right_digest_under_another_version() -> None:
    assert judge_standard(standard("v2," + webhook_signature())) == Refused(RefusalReason.MALFORMED)
    assert isinstance(judge_pagerduty("v2=" + hex_mac(BODY)), Refused)
    assert isinstance(judge_stripe(f"t={NOW_S},v0={hex_mac(b'%d.' % NOW_S + BODY)}"), Refused)


def test_a11_a_header_sent_twice() -> None:
    right = github()[0]
    wrong = ("x-hub-signature-256", "sha256=" + "0" * 64)
    for pair in ([right, wrong], [wrong, right], [right, right]):
        assert judge_github(pair) == Refused(RefusalReason.MALFORMED)


def test_a11_any_signed_header_sent_twice() -> None:
    for again in standard():
        assert judge_standard([*standard(), again]) == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize(
    "prefix", ["xsha256=", "sha256=sha256=", "sha1=", "SHA256=", " sha256=", "sha256==", "sha256:"]
)
def test_a12_prefix_tricks(prefix: str) -> None:
    assert judge_github([("x-hub-signature-256", prefix + hex_mac(BODY))]) == Refused(RefusalReason.MALFORMED)


def test_a13_a_sha1_signature() -> None:
    sha1 = hex_mac(BODY, algorithm="sha1")
    assert isinstance(judge_github([("x-hub-signature-256", "sha256=" + sha1)]), Refused)
    assert isinstance(judge_github([("x-hub-signature-256", "sha1=" + sha1)]), Refused)
    assert isinstance(judge_github([("x-hub-signature", "sha1=" + sha1)]), Refused)


@pytest.mark.parametrize(
    "body",
    [
        b'{"host":"db-1","alert":"disk full"}',
        b'{"alert": "disk full", "host": "db-1"}',
        b'{"alert":"disk\\u0020full","host":"db-1"}',
        b"\xef\xbb\xbf" + BODY,
        BODY + b"\r\n",
        BODY + b"\n",
    ],
    ids=["key-order", "spaces", "escapes", "bom", "crlf", "newline"],
)
def test_a14_the_body_spelled_differently(body: bytes) -> None:
    assert judge_github(github(), body) == Refused(RefusalReason.MISMATCH)


def test_a15_a_signed_body_that_is_no_utf8_is_verified_and_left_to_the_parser() -> None:
    body = b'{"alert":"\xff\xfe"}'
    assert isinstance(judge_github(github(body), body), Verified)
    assert isinstance(judge_slack(slack(body), body), Verified)


def test_a16_moving_the_boundary_between_id_and_timestamp() -> None:
    """Both sign the bytes ``a.1.2.{body}``; at most one reading may ever be accepted."""
    signature = "v1," + base64_mac(b"a.1.2." + BODY)
    for message_id, at in (("a.1", "2"), ("a", "1.2")):
        verdict = judge_standard(standard(signature, message_id=message_id, at=at))
        assert verdict == Refused(RefusalReason.MALFORMED)


def test_a16_moving_the_boundary_between_timestamp_and_body() -> None:
    at = "2026-01-05T12:00:00Z"
    headers: Headers = [
        ("x-zendesk-webhook-signature", base64_mac(at.encode() + BODY)),
        ("x-zendesk-webhook-signature-timestamp", at[:-1]),
    ]
    verdict = verify(ZENDESK, request(headers, b"Z" + BODY), [secret(ZENDESK, TEXT)], NOW)
    assert verdict == Refused(RefusalReason.MALFORMED)


@pytest.mark.parametrize("age_s", [-299, -300, 0, 299, 300])
def test_a17_inside_the_tolerance(age_s: int) -> None:
    assert isinstance(judge_standard(standard(), later=timedelta(seconds=age_s)), Verified)
    assert isinstance(judge_slack(slack(), later=timedelta(seconds=age_s)), Verified)


@pytest.mark.parametrize("age_s", [-100_000, -301, 301, 100_000])
def test_a17_outside_the_tolerance(age_s: int) -> None:
    assert judge_standard(standard(), later=timedelta(seconds=age_s)) == Refused(RefusalReason.SKEW)
    assert judge_slack(slack(), later=timedelta(seconds=age_s)) == Refused(RefusalReason.SKEW)


ODD_TIMES = ["nan", "inf", "1e9", "-1", "1" + "0" * 30, f" {NOW_S}", "1_767_614_400", "١٧٦٧٦١٤٤٠٠", f"{NOW_S}.5"]


@pytest.mark.parametrize("at", [*ODD_TIMES, f"+{NOW_S}", f"0{NOW_S}", f"{NOW_S} ", "0x10", "", "NaN", f"{NOW_S}\x00"])
def test_a18_timestamps_that_python_would_read(at: str) -> None:
    """Each is signed with the right key: only the spelling is wrong."""
    assert judge_slack(slack(at=at)) == Refused(RefusalReason.MALFORMED)


def test_a19_milliseconds_where_seconds_are_due() -> None:
    assert judge_slack(slack(at=f"{NOW_S}000")) == Refused(RefusalReason.MALFORMED)


def test_a19_seconds_where_milliseconds_are_due() -> None:
    for stamp, expected in ((NOW_S * 1000, None), (NOW_S, RefusalReason.SKEW)):
        body = b'{"webhookTimestamp":%d}' % stamp
        headers: Headers = [("linear-signature", hex_mac(body))]
        verdict = verify(LINEAR, request(headers, body), [secret(LINEAR, TEXT)], NOW)
        assert (verdict.reason if isinstance(verdict, Refused) else None) == expected
