"""Secrets of sources: what is generated, stored and loaded, in every encoding the format knows."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.net.signing import (
    InvalidSecret,
    Kind,
    ProfileNotFound,
    Refused,
    SecretNotGenerated,
    Verified,
    generate_secret,
    get_profile,
    load_secret,
    shipped_profiles,
    sign,
    stored_form,
    validate_secret,
    verify,
)
from tests.net.signing.senders import BODY, KEY, NOW, NOW_S, TEXT, compiled, request, secret

SLUGS = sorted(shipped_profiles())


def test_an_unknown_slug_is_not_found() -> None:
    with pytest.raises(ProfileNotFound):
        get_profile("../github")


def test_a_public_key_is_not_ours_to_generate() -> None:
    with pytest.raises(SecretNotGenerated):
        generate_secret(get_profile("standard_webhooks_ed25519"))


@pytest.mark.parametrize("raw", [b"x" * 31, b"x" * 33, b"x" * 64])
def test_a_public_key_has_its_length(raw: bytes) -> None:
    with pytest.raises(InvalidSecret):
        validate_secret(get_profile("standard_webhooks_ed25519"), "whpk_" + base64.b64encode(raw).decode())


@pytest.mark.parametrize("length", [32, 64])
def test_a_private_key_is_taken_with_or_without_the_public_one_behind_it(length: int) -> None:
    profile = get_profile("standard_webhooks_ed25519")
    seed = bytes(range(32))
    public = base64.b64decode("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
    private = "whsk_" + base64.b64encode((seed + public)[:length]).decode()
    headers = sign(profile, private, BODY, NOW, "msg_1")

    held = [secret(profile, "whpk_" + base64.b64encode(public).decode())]
    assert isinstance(verify(profile, request(headers), held, NOW), Verified)


def test_a_private_key_of_another_length_signs_nothing() -> None:
    with pytest.raises(InvalidSecret):
        sign(get_profile("standard_webhooks_ed25519"), "whsk_" + base64.b64encode(b"x" * 16).decode(), BODY, NOW, "m")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_signing_key_is_kept_and_a_token_is_not(slug: str) -> None:
    profile = get_profile(slug)
    text = "user:" + "x" * 40 if slug == "basic" else "QUFB" * 12
    kept = stored_form(profile, text)
    # What names somebody, rather than proving anything, is kept as it is too.
    shown = profile.kind in {Kind.TOKEN, Kind.BASIC, Kind.URL_SECRET}
    assert (kept == text.encode()) == (not shown)


def test_a_stored_form_that_was_damaged_is_refused_when_it_is_loaded() -> None:
    for slug, stored in (("bearer", b"short"), ("standard_webhooks", b"\xff\xfe"), ("standard_webhooks", b"whsec_")):
        with pytest.raises(InvalidSecret):
            load_secret(get_profile(slug), stored, secret_id="1")


@pytest.mark.parametrize(
    ("decode", "text"),
    [("hex", KEY.hex()), ("hex", "pre_" + KEY.hex()), ("base64", base64.b64encode(KEY).decode()), ("utf8", TEXT)],
)
def test_the_key_is_decoded_as_declared(decode: str, text: str) -> None:
    profile = compiled(key={"decode": decode, "strip_prefix": "pre_"})
    assert secret(profile, text).key == KEY
    validate_secret(profile, text)
    validate_secret(profile, generate_secret(profile))


@pytest.mark.parametrize(
    ("decode", "text"),
    [("hex", "zz" * 30), ("hex", "0" * 59), ("hex", "00 " * 30), ("base64", "!" * 40), ("base64", "A" * 41)],
)
def test_a_key_in_another_encoding_is_refused(decode: str, text: str) -> None:
    with pytest.raises(InvalidSecret):
        validate_secret(compiled(key={"decode": decode}), text)


@pytest.mark.parametrize(
    ("encoding", "spell"),
    [
        ("hex", bytes.hex),
        ("base64", lambda digest: base64.b64encode(digest).decode()),
        ("base64url", lambda digest: base64.urlsafe_b64encode(digest).decode()),
    ],
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
def test_every_encoding_and_algorithm_of_the_format(
    encoding: str, spell: Callable[[bytes], str], algorithm: str
) -> None:
    profile = compiled(encoding=encoding, algorithm=algorithm, legacy=algorithm == "sha1")
    right = spell(hmac.digest(KEY, BODY, algorithm))

    assert isinstance(verify(profile, request([("x-sig", right)]), [secret(profile, TEXT)], NOW), Verified)
    assert isinstance(verify(profile, request([("x-sig", right[:-1])]), [secret(profile, TEXT)], NOW), Refused)
    assert sign(profile, TEXT, BODY, NOW) == [("x-sig", right)]


def test_our_own_times_are_spelled_as_the_verifier_wants_them() -> None:
    for spelling, expected in (
        ("unix_s", str(NOW_S)),
        ("unix_ms", f"{NOW_S}000"),
        ("iso8601", "2026-01-05T12:00:00Z"),
    ):
        timestamp = {"header": "x-time", "format": spelling, "signed": True}
        profile = compiled(signed="{timestamp}.{body}", timestamp=timestamp)
        headers = sign(profile, TEXT, BODY, NOW)
        assert ("x-time", expected) in headers
        verdict = verify(profile, request(headers), [secret(profile, TEXT)], NOW)
        assert isinstance(verdict, Verified)
        assert verdict.timestamp == NOW


@pytest.mark.parametrize(
    "odd",
    [
        "2026-01-05T12:00:00",
        "2026-01-05 12:00:00Z",
        "2026-01-05T12:00Z",
        "2026-02-31T12:00:00Z",
        "20260105T120000Z",
        "2026-01-05T12:00:00+99:99",
        "2026-01-05T24:00:01Z",
        "2026-W02-1T12:00:00Z",
        "2026-01-05T12:00:00z",
    ],
)
def test_an_iso_time_has_one_shape(odd: str) -> None:
    timestamp = {"header": "x-time", "format": "iso8601", "signed": True}
    profile = compiled(signed="{timestamp}.{body}", timestamp=timestamp)
    signature = hmac.digest(KEY, odd.encode() + b"." + BODY, "sha256").hex()
    verdict = verify(profile, request([("x-sig", signature), ("x-time", odd)]), [secret(profile, TEXT)], NOW)
    assert isinstance(verdict, Refused)
    assert verdict.reason.value == "malformed"


@given(st.text(max_size=60))
def test_any_text_is_a_secret_or_refused(text: str) -> None:
    for slug in SLUGS:
        profile = get_profile(slug)
        try:
            validate_secret(profile, text)
        except InvalidSecret:
            continue
        assert load_secret(profile, stored_form(profile, text), secret_id="1").key
