"""A35, A36: tokens of every bent kind, and key sets that somebody swapped."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.net.signing import CompiledProfile, RefusalReason, Refused, Verified, get_profile
from app.net.signing.checks import Held
from app.net.signing.key_sets import Document, UnreadableKeys, read_document
from tests.attacks.target import Target
from tests.attacks.test_fuzzing import JSON as ANY_JSON
from tests.attacks.test_fuzzing import QUICK
from tests.factories.ingest import alert_body
from tests.net.signing.issuers import (
    KEYS_URL,
    PINS,
    TENANT,
    Issuer,
    number64,
    on_either_key,
    rsa_key,
    text64,
    with_token,
)
from tests.net.signing.senders import NOW, secret

ISSUER = Issuer()
PROFILE = get_profile("azure_monitor")
JSON = ("content-type", "application/json")


def judge(
    token: str | None, held: Held | None = None, *, profile: CompiledProfile = PROFILE, pins: str = PINS
) -> Verified | Refused:
    assert profile.remote is not None
    keys = ISSUER.held() if held is None else held
    return profile.remote.judge(with_token(token), [secret(profile, pins)], NOW, keys)


def test_the_token_that_the_others_are_bent_from_is_accepted() -> None:
    assert isinstance(judge(ISSUER.token()), Verified)
    assert isinstance(judge(ISSUER.token(alg="ES256", kid="c1"), profile=on_either_key()), Verified)


BENT_HEADERS: dict[str, dict[str, Any]] = {
    "alg-none": {"alg": "none"},
    "alg-None": {"alg": "None"},
    "alg-missing": {"alg": None},
    "alg-list": {"alg": ["RS256"]},
    "public-pem-as-hmac-key": {"alg": "HS256"},
    "public-der-as-hmac-key": {"alg": "HS256-DER"},
    "other-algorithm": {"alg": "RS512"},
    "other-family": {"alg": "ES256"},
    "crit": {"crit": ["exp"]},
    "crit-unknown": {"crit": ["urn:example:we-do-not-know"], "urn:example:we-do-not-know": 1},
    "crit-empty": {"crit": []},
    "b64": {"b64": False},
    "kid-path": {"kid": "../../../dev/null"},
    "kid-url": {"kid": "https://evil.test/key"},
    "kid-sql": {"kid": "' or 1=1 --"},
    "kid-missing": {"kid": None},
    "kid-number": {"kid": 1},
    "kid-unknown": {"kid": "k2"},
    "kid-long": {"kid": "k" * 300},
    "jku": {"jku": "http://169.254.169.254/keys"},
    "x5u": {"x5u": "https://evil.test/key.pem"},
    "x5c": {"x5c": ["MIIB"]},
    "jwk": {"jwk": Issuer(key=rsa_key(2)).jwk()},
    "zip": {"zip": "DEF"},
    "typ": {"typ": "logout+jwt"},
}


@pytest.mark.attack("A35")
@pytest.mark.parametrize("header", BENT_HEADERS.values(), ids=BENT_HEADERS)
def test_a_bent_header_is_refused(header: dict[str, Any]) -> None:
    assert isinstance(judge(ISSUER.token(**header)), Refused)


AT = int(NOW.timestamp())
BENT_CLAIMS: dict[str, tuple[dict[str, Any], RefusalReason]] = {
    "aud-other": ({"aud": "api://other"}, RefusalReason.CLAIM),
    "aud-missing": ({"aud": None}, RefusalReason.CLAIM),
    "aud-prefix": ({"aud": "api://tocsin.example.evil"}, RefusalReason.CLAIM),
    "aud-object": ({"aud": {"api://tocsin.example": 1}}, RefusalReason.CLAIM),
    "iss-other": ({"iss": "https://sts.windows.net/somebody/"}, RefusalReason.CLAIM),
    "iss-list": ({"iss": [f"https://sts.windows.net/{TENANT}/"]}, RefusalReason.CLAIM),
    "iss-missing": ({"iss": None}, RefusalReason.CLAIM),
    "appid-other": ({"appid": "11111111-5575-4561-ac7f-899cc907d62a"}, RefusalReason.CLAIM),
    "roles-other": ({"roles": ["Reader"]}, RefusalReason.CLAIM),
    "roles-missing": ({"roles": None}, RefusalReason.CLAIM),
    "exp-missing": ({"exp": None}, RefusalReason.MALFORMED),
    "exp-text": ({"exp": str(AT + 60)}, RefusalReason.MALFORMED),
    "exp-true": ({"exp": True}, RefusalReason.MALFORMED),
    "exp-huge": ({"exp": 10**300}, RefusalReason.MALFORMED),
    "exp-past": ({"exp": AT - 61}, RefusalReason.SKEW),
    "nbf-future": ({"nbf": AT + 61}, RefusalReason.SKEW),
    "nbf-text": ({"nbf": "now"}, RefusalReason.MALFORMED),
    "iat-future": ({"iat": AT + 61}, RefusalReason.SKEW),
}


@pytest.mark.attack("A35")
@pytest.mark.parametrize(("changes", "reason"), BENT_CLAIMS.values(), ids=BENT_CLAIMS)
def test_bent_claims_are_refused_though_the_signature_holds(changes: dict[str, Any], reason: RefusalReason) -> None:
    assert judge(ISSUER.token(ISSUER.claims(**changes))) == Refused(reason)


@pytest.mark.attack("A35")
def test_a_token_in_pieces() -> None:
    head, body, signature = ISSUER.token().split(".")
    other = text64(json.dumps(ISSUER.claims(sub="somebody")).encode())
    for bent in (
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature}.",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{signature[:-8]}",
        f"{head}.{body}={'.'}{signature}",
        f" {head}.{body}.{signature}",
        "",
        "." * 10_000,
        "e30.e30.e30",
    ):
        assert isinstance(judge(bent), Refused), bent[:50]
    request = with_token(ISSUER.token(), ("authorization", f"Bearer {ISSUER.token()}"))
    assert PROFILE.remote is not None
    assert PROFILE.remote.judge(request, [secret(PROFILE, PINS)], NOW, ISSUER.held()) == Refused(
        RefusalReason.MALFORMED
    )


@pytest.mark.attack("A35")
@pytest.mark.parametrize("bent", ["none", "hmac", "jku", "audience", "another-key"])
async def test_the_route_refuses_them_uniformly_and_fetches_nothing_for_strangers(
    target: Target, monkeypatch: pytest.MonkeyPatch, bent: str
) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return ISSUER.jwks()

    monkeypatch.setattr(target.application._ingest._proofs._keys, "_fetch", fetch)
    source = await target.source_of(profile="azure_monitor", secret=PINS)
    good = ISSUER.claims(target.clock.now())
    tokens = {
        "none": ISSUER.token(good, alg="none"),
        "hmac": ISSUER.token(good, alg="HS256"),
        "jku": ISSUER.token(good, jku="http://169.254.169.254/"),
        "audience": ISSUER.token(good | {"aud": "api://other"}),
        "another-key": Issuer(key=rsa_key(2)).token(good),
    }
    body = alert_body()
    await target.refuses(body, [JSON, ("authorization", f"Bearer {tokens[bent]}")], source=source)
    assert asked == ([KEYS_URL] if bent == "another-key" else [])
    right = await target.post(body, [JSON, ("authorization", f"Bearer {ISSUER.token(good)}")], source=source)
    assert right.status_code == 202
    assert asked == [KEYS_URL], "fetched once, whatever came"


SWAPPED: dict[str, dict[str, Any]] = {
    "alg-none": ISSUER.jwk(alg="none"),
    "alg-hmac": ISSUER.jwk(alg="HS256"),
    "alg-other": ISSUER.jwk(alg="RS512"),
    "use-enc": ISSUER.jwk(use="enc"),
    "ops-sign": ISSUER.jwk(key_ops=["sign"]),
    "octets": {"kty": "oct", "kid": "k1", "k": text64(b"x" * 32)},
    "curve-under-the-same-id": ISSUER.curve_jwk(kid="k1"),
    "small-key": ISSUER.jwk(n=number64((1 << 1023) + 1)),
    "vast-key": ISSUER.jwk(n=number64((1 << 20_000) + 1)),
    "exponent-one": ISSUER.jwk(e=number64(1)),
    "exponent-even": ISSUER.jwk(e=number64(65_536)),
    "point-off-the-curve": ISSUER.curve_jwk(kid="k1", x=number64(5), y=number64(5)),
    "no-id": {name: value for name, value in ISSUER.jwk().items() if name != "kid"},
    "bad-base64": ISSUER.jwk(n="!!!"),
}


@pytest.mark.attack("A36")
@pytest.mark.parametrize("swapped", SWAPPED.values(), ids=SWAPPED)
def test_a_swapped_key_verifies_nothing(swapped: dict[str, Any]) -> None:
    try:
        held = ISSUER.held(swapped, ISSUER.curve_jwk())
    except UnreadableKeys:
        held = {}
    for token in (ISSUER.token(), ISSUER.token(alg="HS256"), ISSUER.token(alg="none")):
        assert isinstance(judge(token, held), Refused)
        assert isinstance(judge(token, held, profile=on_either_key()), Refused)


@pytest.mark.attack("A36")
def test_two_keys_of_one_id_are_none() -> None:
    other = Issuer(key=rsa_key(2)).jwk()
    assert isinstance(judge(ISSUER.token(), ISSUER.held(ISSUER.jwk(), other, ISSUER.curve_jwk())), Refused)


@pytest.mark.attack("A36")
def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    """The EC key's id with an RSA token, and the other way round (RFC 8725, 3.1)."""
    profile = on_either_key()
    assert isinstance(judge(ISSUER.token(kid="c1"), profile=profile), Refused)
    assert isinstance(judge(ISSUER.token(alg="ES256"), profile=profile), Refused)


@pytest.mark.attack("A36")
@given(raw=st.binary(max_size=300) | ANY_JSON.map(lambda v: json.dumps({"keys": v}, default=str).encode()))
@QUICK
def test_any_key_set_is_read_or_refused(raw: bytes) -> None:
    for document in Document:
        try:
            keys = read_document(document, raw)
        except UnreadableKeys:
            continue
        assert keys


@pytest.mark.attack("A36")
@given(changes=st.dictionaries(st.sampled_from(["kty", "n", "e", "alg", "use", "crv", "x", "y", "kid"]), ANY_JSON))
@QUICK
def test_any_change_of_a_key_leaves_a_usable_one_or_none(changes: dict[str, Any]) -> None:
    for entry in (ISSUER.jwk(), ISSUER.curve_jwk()):
        try:
            keys = read_document(Document.JWKS, json.dumps({"keys": [entry | changes]}, default=str).encode())
        except UnreadableKeys:
            continue
        assert {key.algorithm for key in keys.values()} <= {"RS256", "ES256"}


PIECES = (
    st.sampled_from(ISSUER.token().split("."))
    | st.text("abcXYZ-_=.", max_size=20)
    | ANY_JSON.map(lambda value: text64(json.dumps(value, default=str).encode()))
)


@pytest.mark.attack("A35")
@given(pieces=st.lists(PIECES, max_size=5), tail=st.binary(max_size=20))
@QUICK
def test_any_text_is_a_token_or_refused(pieces: list[str], tail: bytes) -> None:
    token = ".".join(pieces) + tail.decode("latin-1")
    verdict = judge(token)
    assert (
        isinstance(verdict, Refused) or token == ISSUER.token() or token.split(".")[:2] == ISSUER.token().split(".")[:2]
    )


@pytest.mark.attack("A35")
def test_base64_with_padding_or_another_alphabet_is_no_token() -> None:
    head, body, signature = ISSUER.token().split(".")
    standard = base64.b64encode(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))).decode()
    assert isinstance(judge(f"{head}.{body}.{standard}"), Refused)
