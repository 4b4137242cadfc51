"""Attacks on freshness, secrets and tokens, by the ids of the catalogue (A20 to A39)."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest

from app.net.signing import (
    InvalidSecret,
    RefusalReason,
    Refused,
    Verified,
    generate_secret,
    get_profile,
    load_secret,
    validate_secret,
    verify,
)
from tests.net.signing.senders import (
    BODY,
    GITHUB,
    KEY,
    NOW,
    NOW_S,
    SENTRY,
    SLACK,
    STANDARD,
    TEXT,
    Headers,
    github,
    hex_mac,
    request,
    secret,
    slack,
)


def judge_slack(headers: Headers, body: bytes = BODY, *, later: timedelta = timedelta()) -> Verified | Refused:
    return verify(SLACK, request(headers, body), [secret(SLACK, TEXT)], NOW + later)


def test_a20_a_fresh_unsigned_timestamp_on_an_old_body() -> None:
    """It is accepted, with the same replay key: the body decides, not the time that anybody can write."""

    def sentry(at: int) -> Verified | Refused:
        headers: Headers = [("sentry-hook-signature", hex_mac(BODY)), ("sentry-hook-timestamp", str(at))]
        return verify(SENTRY, request([*headers, ("request-id", f"r{at}")]), [secret(SENTRY, TEXT)], NOW)

    first, again = sentry(NOW_S - 86_400), sentry(NOW_S)

    assert isinstance(first, Verified)
    assert isinstance(again, Verified)
    assert first.replay_key == again.replay_key
    assert not again.delivery_id_signed
    assert again.replay_window == timedelta(minutes=10)


def test_a26_the_previous_secret_inside_and_after_the_overlap() -> None:
    current = secret(GITHUB, "the new key, also long enough for us")
    previous = secret(GITHUB, TEXT, secret_id="previous", expires_at=NOW + timedelta(hours=1))
    incoming = request(github())

    inside = verify(GITHUB, incoming, [current, previous], NOW)
    assert isinstance(inside, Verified)
    assert inside.secret_id == "previous"
    after = verify(GITHUB, incoming, [current, previous], NOW + timedelta(hours=1))
    assert after == Refused(RefusalReason.MISMATCH)


def test_a26_a_token_after_the_overlap() -> None:
    profile = get_profile("bearer")
    incoming = request([("authorization", "Bearer " + "t" * 40)])
    previous = secret(profile, "t" * 40, expires_at=NOW + timedelta(hours=1))

    assert isinstance(verify(profile, incoming, [previous], NOW), Verified)
    assert verify(profile, incoming, [previous], NOW + timedelta(hours=1)) == Refused(RefusalReason.NO_SECRET)


def test_a06_basic_credentials_have_one_spelling() -> None:
    profile = get_profile("basic")
    text = "user:" + "x" * 33
    encoded = base64.b64encode(text.encode()).decode()
    spare = encoded[:-2] + chr(ord(encoded[-2]) + 1) + "="
    assert base64.b64decode(spare) == text.encode()
    held = [secret(profile, text)]

    assert isinstance(verify(profile, request([("authorization", "Basic " + encoded)]), held, NOW), Verified)
    for other in (spare, encoded.rstrip("="), encoded + " ", " " + encoded):
        incoming = request([("authorization", "Basic " + other)])
        assert verify(profile, incoming, held, NOW) == Refused(RefusalReason.MALFORMED)


def test_a27_a_source_without_a_secret() -> None:
    assert verify(GITHUB, request(github()), [], NOW) == Refused(RefusalReason.NO_SECRET)
    expired = secret(GITHUB, TEXT, expires_at=NOW)
    assert verify(GITHUB, request(github()), [expired], NOW) == Refused(RefusalReason.NO_SECRET)


def test_a27_a_signature_made_with_an_empty_key() -> None:
    assert isinstance(verify(GITHUB, request(github(key=b"")), [], NOW), Refused)


@pytest.mark.parametrize(
    "text", ["", "   ", "\t", "whsec_", "whsec_ ", "whsec_" + base64.b64encode(b"x" * 23).decode()]
)
def test_a28_weak_secrets_of_standard_webhooks(text: str) -> None:
    with pytest.raises(InvalidSecret):
        validate_secret(STANDARD, text)


@pytest.mark.parametrize("slug", ["github", "slack", "stripe", "bearer", "url_secret", "header_token"])
@pytest.mark.parametrize("text", ["", " ", "x" * 23, " " + "x" * 30, "x" * 30 + "\n", "x" * 1025, "ä" * 30])
def test_a28_weak_secrets_of_the_others(slug: str, text: str) -> None:
    with pytest.raises(InvalidSecret):
        validate_secret(get_profile(slug), text)


@pytest.mark.parametrize("text", ["user:short", "no-colon-in-this-long-credential", ":" + "x" * 30])
def test_a28_weak_basic_credentials(text: str) -> None:
    with pytest.raises(InvalidSecret):
        validate_secret(get_profile("basic"), text)


def test_a28_what_we_generate_is_strong_enough() -> None:
    for slug in ("standard_webhooks", "github", "stripe", "bearer", "basic", "url_secret"):
        profile = get_profile(slug)
        text = generate_secret(profile)
        validate_secret(profile, text)
        assert text != generate_secret(profile)


def test_a33_a_token_in_the_query_counts_for_url_secrets_only() -> None:
    in_query = request([], query=b"token=" + KEY.replace(b" ", b"-"))
    text = TEXT.replace(" ", "-")
    for slug in ("bearer", "header_token", "basic", "github"):
        profile = get_profile(slug)
        assert verify(profile, in_query, [secret(profile, text)], NOW) == Refused(RefusalReason.MISSING)
    url_secret = get_profile("url_secret")
    assert isinstance(verify(url_secret, in_query, [secret(url_secret, text)], NOW), Verified)


def test_a34_of_a_token_only_a_digest_is_kept_and_compared() -> None:
    profile = get_profile("bearer")
    token = "t" * 40
    kept = secret(profile, token).key
    assert kept == hashlib.sha256(token.encode()).digest()
    assert token not in repr(secret(profile, token))

    by_digest = load_secret(profile, kept, secret_id="current")
    incoming = request([("authorization", "Bearer " + token)])
    assert isinstance(verify(profile, incoming, [by_digest], NOW), Verified)
    # The digest itself, should it leak, opens nothing.
    stolen = request([("authorization", b"Bearer " + kept.hex().encode())])
    assert isinstance(verify(profile, stolen, [by_digest], NOW), Refused)


def test_a39_a_handshake_counts_only_when_it_is_signed() -> None:
    body = b'{"type":"url_verification","challenge":"abc"}'
    assert judge_slack(slack(BODY), body) == Refused(RefusalReason.MISMATCH)
    assert judge_slack([], body) == Refused(RefusalReason.MISSING)

    answered = judge_slack(slack(body), body)
    assert isinstance(answered, Verified)
    assert answered.challenge == "abc"


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b'{"type":"url_verification"}',
        b'{"type":"url_verification","challenge":7}',
        b'{"type":"event_callback","challenge":"url_verification"}',
        b'["url_verification"]',
        b"url_verification",
        b'{"type":"url_verification","challenge":"' + b"x" * 2000 + b'"}',
    ],
)
def test_a39_an_ordinary_delivery_is_no_handshake(body: bytes) -> None:
    verdict = judge_slack(slack(body), body)
    assert isinstance(verdict, Verified)
    assert verdict.challenge is None
