"""Requests as senders make them, signed here with the standard library and not with the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from app.net.signing import (
    CompiledProfile,
    Kind,
    Secret,
    SecretNotGenerated,
    SignedRequest,
    generate_secret,
    get_profile,
    load_secret,
    shipped_profiles,
    stored_form,
)
from app.net.signing.format import Vector
from app.net.signing.profile import Profile
from app.net.signing.signed_check import compile_signed_check

Headers = list[tuple[str, str | bytes]]

GITHUB = get_profile("github")
SLACK = get_profile("slack")
STANDARD = get_profile("standard_webhooks")
STRIPE = get_profile("stripe")
PAGERDUTY = get_profile("pagerduty")
ZENDESK = get_profile("zendesk")
SENTRY = get_profile("sentry")
LINEAR = get_profile("linear")

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NOW_S = 1_767_614_400
KEY = b"a key of more than twenty-four bytes"
TEXT = KEY.decode()
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
SYMMETRIC = frozenset({Kind.HMAC, Kind.TOKEN, Kind.BASIC, Kind.URL_SECRET})
"""Kinds whose secret we make, and whose requests we can therefore make too."""

OURS = sorted(slug for slug, profile in shipped_profiles().items() if profile.kind in SYMMETRIC)
BODY = b'{"alert":"disk full","host":"db-1"}'


def accepted(profile: CompiledProfile) -> Vector:
    """A vector of the profile that is accepted."""
    return next(vector for vector in profile.profile.vectors if vector.expect == "accept")


def some_secret(profile: CompiledProfile) -> str:
    """A secret that may be saved: a new one, or that of a vector where it has to come from the sender."""
    try:
        return generate_secret(profile)
    except SecretNotGenerated:
        return accepted(profile).secrets[-1]


def compiled(signed: str = "{body}", **parts: object) -> CompiledProfile:
    """A profile without vectors: those of a one-off template would only repeat the test."""
    data = {
        "slug": "example",
        "title": "Example",
        "source": "made up",
        "kind": "hmac",
        "signature": {"header": "x-sig", "format": {"type": "whole"}},
        "signed": signed,
        **parts,
    }
    profile = Profile.model_validate(data)
    return CompiledProfile(profile, compile_signed_check(profile))


def request(
    headers: Sequence[tuple[str, str | bytes]], body: bytes = BODY, *, query: bytes = b"", path: str = "/in/abc"
) -> SignedRequest:
    raw = [(n.encode(), v if isinstance(v, bytes) else v.encode()) for n, v in headers]
    return SignedRequest("POST", path, query, [(b"host", b"tocsin.test"), *raw], body)


def secret(
    profile: CompiledProfile, text: str, *, secret_id: str = "current", expires_at: datetime | None = None
) -> Secret:
    return load_secret(profile, stored_form(profile, text), secret_id=secret_id, expires_at=expires_at)


def hex_mac(message: bytes, key: bytes = KEY, algorithm: str = "sha256") -> str:
    return hmac.new(key, message, algorithm).hexdigest()


def base64_mac(message: bytes, key: bytes = KEY) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def github(body: bytes = BODY, key: bytes = KEY) -> Headers:
    return [("x-hub-signature-256", "sha256=" + hex_mac(body, key))]


def slack(body: bytes = BODY, at: str = str(NOW_S), key: bytes = KEY) -> Headers:
    signature = hex_mac(b"v0:%b:%b" % (at.encode(), body), key)
    return [("x-slack-request-timestamp", at), ("x-slack-signature", "v0=" + signature)]


def webhook_signature(body: bytes = BODY, *, message_id: str = "msg_1", at: str = str(NOW_S), key: bytes = KEY) -> str:
    return base64_mac(f"{message_id}.{at}.".encode() + body, key)


def standard(
    signatures: str | None = None, body: bytes = BODY, *, message_id: str = "msg_1", at: str = str(NOW_S)
) -> Headers:
    value = signatures if signatures is not None else "v1," + webhook_signature(body, message_id=message_id, at=at)
    return [("webhook-id", message_id), ("webhook-timestamp", at), ("webhook-signature", value)]
