"""Verification for arbitrary input: it never raises, and it holds for exactly one spelling of one message."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.net.signing import (
    CompiledProfile,
    Kind,
    Refused,
    SignedRequest,
    Verified,
    dummy_verify,
    generate_secret,
    get_profile,
    secret_query,
    shipped_profiles,
    sign,
    verify,
)
from tests.net.signing.senders import NOW, OURS, secret, some_secret

SLUGS = sorted(shipped_profiles())
SIGNING = [slug for slug in SLUGS if shipped_profiles()[slug].kind is Kind.HMAC]
SEED = bytes(range(32))
PUBLIC = "whpk_" + "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
PRIVATE = "whsk_" + base64.b64encode(SEED).decode()
LINEAR_BODY = b'{"webhookTimestamp":%d}' % (int(NOW.timestamp()) * 1000)

header_names = st.sampled_from(
    sorted(
        {
            name.encode()
            for compiled in shipped_profiles().values()
            for vector in compiled.profile.vectors
            for name, _ in vector.headers
        }
    )
)
headers = st.lists(st.tuples(header_names | st.binary(max_size=20), st.binary(max_size=120)), max_size=8)


def signed_request(profile: CompiledProfile, body: bytes) -> tuple[SignedRequest, str]:
    """A request that verifies, and the secret that we hold for it."""
    if profile.kind is Kind.ED25519:
        held, sender_holds = PUBLIC, PRIVATE
    else:
        held = sender_holds = generate_secret(profile)
    pairs = sign(profile, sender_holds, body, NOW, "delivery-1")
    query = secret_query(profile, held).encode()
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    return SignedRequest("POST", "/in/abc", query, raw, body), held


def body_for(slug: str) -> bytes:
    return LINEAR_BODY if slug == "linear" else b'{"id":"evt_1","text":"disk full"}'


@pytest.mark.parametrize("slug", [*OURS, "standard_webhooks_ed25519"])
def test_what_we_sign_verifies_and_another_secret_does_not(slug: str) -> None:
    profile = get_profile(slug)
    incoming, held = signed_request(profile, body_for(slug))

    assert isinstance(verify(profile, incoming, [secret(profile, held)], NOW), Verified)
    if profile.kind is not Kind.ED25519:
        other = secret(profile, generate_secret(profile))
        assert isinstance(verify(profile, incoming, [other], NOW), Refused)


@pytest.mark.parametrize("slug", SLUGS)
@given(given_headers=headers, body=st.binary(max_size=200), query=st.binary(max_size=60), path=st.text(max_size=20))
def test_verify_never_raises(
    slug: str, given_headers: list[tuple[bytes, bytes]], body: bytes, query: bytes, path: str
) -> None:
    profile = get_profile(slug)
    # A source that takes everything takes it with its tenant's consent only.
    held = [secret(profile, some_secret(profile))] if profile.kind is not Kind.NONE else []
    incoming = SignedRequest("POST", path, query, given_headers, body, "https://tocsin.test")
    assert isinstance(verify(profile, incoming, held, NOW), Refused)
    assert isinstance(dummy_verify(incoming), Refused)
    assert isinstance(dummy_verify(incoming, on_curve=True), Refused)


@pytest.mark.parametrize("slug", [*SIGNING, "standard_webhooks_ed25519"])
@given(position=st.integers(min_value=0), change=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_of_the_body_is_refused(slug: str, position: int, change: int) -> None:
    profile = get_profile(slug)
    incoming, held = signed_request(profile, body_for(slug))
    body = bytearray(incoming.body)
    body[position % len(body)] ^= change
    verdict = verify(profile, incoming._replace(body=bytes(body)), [secret(profile, held)], NOW)
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize("slug", [*SIGNING, "standard_webhooks_ed25519"])
@given(position=st.integers(min_value=0), change=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_of_the_signature_header_is_refused(slug: str, position: int, change: int) -> None:
    profile = get_profile(slug)
    incoming, held = signed_request(profile, body_for(slug))
    (name, value), *others = incoming.headers
    changed = bytearray(value)
    changed[position % len(changed)] ^= change
    tampered = incoming._replace(headers=[(name, bytes(changed)), *others])
    assert isinstance(verify(profile, tampered, [secret(profile, held)], NOW), Refused)


@given(year=st.integers(min_value=1, max_value=9999), body=st.binary(max_size=50))
def test_any_present_is_survived(year: int, body: bytes) -> None:
    profile = get_profile("standard_webhooks")
    incoming, held = signed_request(profile, body)
    verdict = verify(profile, incoming, [secret(profile, held)], datetime(year, 1, 5, 12, tzinfo=UTC))
    assert isinstance(verdict, Verified) == (year == NOW.year)
