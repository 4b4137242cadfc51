"""What the profile format refuses: slips of the pen must not become weaker checks."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import yaml

from app.net.signing import InvalidProfile, RefusalReason, Strength, load_profile, shipped_profiles
from app.net.signing.format import Verdict
from tests.net.signing.senders import BODY, NOW, TEXT, hex_mac

Document = dict[str, Any]


def document(**changes: object) -> Document:
    """The smallest valid profile, with ``changes`` on top; None removes a key."""
    right = hex_mac(BODY)

    def vector(name: str, signature: str, expect: str) -> Document:
        headers = [["x-sig", signature]]
        return {
            "name": name,
            "headers": headers,
            "body": BODY.decode(),
            "secrets": [TEXT],
            "now": NOW,
            "expect": expect,
        }

    base: Document = {
        "slug": "example",
        "title": "Example",
        "source": "made up",
        "kind": "hmac",
        "signature": {"header": "x-sig", "format": {"type": "whole"}},
        "encoding": "hex",
        "signed": "{body}",
        "vectors": [
            vector("right", right, "accept"),
            vector("wrong", "0" * 64, "mismatch"),
            vector("short", right[:-1], "malformed"),
            vector("empty", "", "malformed"),
        ],
    }
    merged = copy.deepcopy(base) | changes
    return {key: value for key, value in merged.items() if value is not None}


def load(**changes: object) -> object:
    return load_profile(yaml.safe_dump(document(**changes)))


def test_the_smallest_profile_loads() -> None:
    assert load() is not None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"extra": 1}, "extra"),
        ({"signature": {"header": "x-sig", "format": {"type": "whole"}, "optional": True}}, "optional"),
        ({"encoding": "HEX"}, "encoding"),
        ({"encoding": None, "algorithm": "md5"}, "algorithm"),
        ({"algorithm": "sha1"}, "legacy"),
        ({"signature": {"header": "X-Sig", "format": {"type": "whole"}}}, "header"),
        ({"signed": "{timestamp}.x"}, "body"),
        ({"signed": "{body}{body}"}, "body"),
        (
            {"signed": "{timestamp}{body}", "timestamp": {"header": "t", "format": "unix_s", "signed": True}},
            "separator",
        ),
        ({"signed": "{nonce}.{body}"}, "nonce"),
        ({"signed": "{body"}, "brace"),
        ({"signed": "{timestamp}.{body}"}, "timestamp"),
        ({"signed": "{id}.{body}"}, "id"),
        ({"signed": None}, "signed"),
        ({"signature": None}, "signature"),
        ({"timestamp": {"header": "t", "format": "unix_s", "signed": True}}, "signed"),
        ({"timestamp": {"header": "t", "json_pointer": "/t", "format": "unix_s", "signed": True}}, "exactly one"),
        ({"timestamp": {"kv": True, "format": "unix_s", "signed": False}}, "timestamp_key"),
        ({"timestamp": {"header": "t", "format": "unix_s", "signed": "yes"}}, "signed"),
        ({"timestamp": {"header": "t", "format": "unix_s", "signed": False, "past_s": 0}}, "past_s"),
        ({"delivery_id": {"header": "i", "signed": True, "stable_on_retry": True}}, "signed"),
        ({"delivery_id": {"signed": False, "stable_on_retry": True}}, "exactly one"),
        ({"kind": "token"}, "token"),
        (
            {
                "kind": "token",
                "signature": None,
                "signed": None,
                "token": {"header": "t"},
                "handshake": "slack_url_verification",
            },
            "handshake",
        ),
        ({"kind": "magic"}, "kind"),
        ({"slug": "../etc"}, "slug"),
        ({"vectors": []}, "vector"),
    ],
)
def test_a_profile_with_a_slip_is_refused_and_the_slip_is_named(changes: Document, complaint: str) -> None:
    with pytest.raises(InvalidProfile, match=complaint):
        load(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "jwt", "token": {"header": "authorization"}}, "needs 'jwt'"),
        ({"kind": "plugin", "plugin": "nobodys"}, "plugin"),
        ({"kind": "plugin"}, "needs 'plugin'"),
        ({"kind": "plugin", "plugin": "sns"}, "sns_confirm"),
        ({"kind": "mtls"}, "needs a vector"),
        ({"kind": "none"}, "needs a vector"),
        ({"kind": "mtls", "token": {"header": "authorization"}}, "has no 'token'"),
        ({"kind": "mtls", "delivery_id": {"header": "x-id", "signed": True, "stable_on_retry": True}}, "signs nothing"),
    ],
)
def test_kinds_without_their_parts_or_their_proof_are_refused(changes: Document, complaint: str) -> None:
    with pytest.raises(InvalidProfile, match=complaint):
        load(**{"signature": None, "signed": None, "vectors": None} | changes)


TOKENS = {"token": {"header": "authorization", "prefix": "Bearer "}, "signature": None, "signed": None, "vectors": None}
ISSUED = {"issuer": "https://i.example", "audience": "{pin:audience}", "jwks_url": "https://i.example/keys"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"audience": "https://everybody.example"}, "audience must hold"),
        ({"jwks_url": "http://i.example/keys"}, "jwks_url"),
        ({"jwks_url": "https://{pin:host}/keys"}, "jwks_url"),
        ({"jwks_url": "https://user@i.example/keys"}, "jwks_url"),
        ({"jwks_url": "https://i.example/keys?x=1"}, "jwks_url"),
        ({"issuer": "https://{tenant}/"}, "braces"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"leeway_s": 3600}, "leeway_s"),
        ({"claims": {"": "x"}}, "claims"),
    ],
)
def test_a_token_that_would_prove_less_is_refused(changes: Document, complaint: str) -> None:
    with pytest.raises(InvalidProfile, match=complaint):
        load(kind="jwt", jwt=ISSUED | changes, **TOKENS)


def test_every_reason_of_a_refusal_can_be_expected_of_a_vector() -> None:
    assert set(get_args(Verdict)) == {"accept", *(reason.value for reason in RefusalReason)}


def test_a_profile_whose_vector_fails_does_not_load() -> None:
    vectors = document()["vectors"]
    vectors[0]["body"] += " "
    with pytest.raises(InvalidProfile, match="'right' gives mismatch, not accept"):
        load(vectors=vectors)


def test_a_profile_that_accepts_what_it_should_refuse_does_not_load() -> None:
    vectors = document()["vectors"]
    vectors[1]["headers"] = vectors[0]["headers"]
    with pytest.raises(InvalidProfile, match="'wrong' gives accept"):
        load(vectors=vectors)


@pytest.mark.parametrize("kept", [[0, 1, 2], [1, 2, 3]])
def test_too_few_vectors(kept: list[int]) -> None:
    vectors = document()["vectors"]
    with pytest.raises(InvalidProfile, match="needs a vector"):
        load(vectors=[vectors[index] for index in kept])


@pytest.mark.parametrize("text", ["", "[]", "- a", "a: [", "!!python/object/apply:os.system ['true']"])
def test_yaml_that_is_no_profile(text: str) -> None:
    with pytest.raises(InvalidProfile):
        load_profile(text)


def test_every_sender_of_the_first_release_ships_with_its_strength() -> None:
    strengths = {slug: compiled.strength for slug, compiled in shipped_profiles().items()}
    assert strengths == {
        "standard_webhooks": Strength.SIGNED_FRESH,
        "standard_webhooks_ed25519": Strength.SIGNED_FRESH,
        "slack": Strength.SIGNED_FRESH,
        "stripe": Strength.SIGNED_FRESH,
        "zendesk": Strength.SIGNED_FRESH,
        "linear": Strength.SIGNED_FRESH,
        "grafana_timestamp": Strength.SIGNED_FRESH,
        "grafana": Strength.SIGNED,
        "github": Strength.SIGNED,
        "jira": Strength.SIGNED,
        "pagerduty": Strength.SIGNED,
        "sentry": Strength.SIGNED,
        "shopify": Strength.SIGNED,
        "oneuptime": Strength.SIGNED,
        "bearer": Strength.TOKEN,
        "header_token": Strength.TOKEN,
        "gitlab": Strength.TOKEN,
        "basic": Strength.TOKEN,
        "url_secret": Strength.URL_SECRET,
        "sns": Strength.SIGNED_FRESH,
        "twilio": Strength.SIGNED,
        "azure_monitor": Strength.MTLS_JWT,
        "azure_monitor_v2": Strength.MTLS_JWT,
        "google_oidc": Strength.MTLS_JWT,
        "mtls": Strength.MTLS_JWT,
        "none": Strength.NONE,
    }


def test_strengths_are_ranked() -> None:
    ranked = list(Strength)
    assert [strength.rank for strength in ranked] == sorted(strength.rank for strength in ranked)
    assert Strength.SIGNED_FRESH.at_least(Strength.SIGNED)
    assert Strength.TOKEN.at_least(Strength.TOKEN)
    assert not Strength.URL_SECRET.at_least(Strength.TOKEN)
