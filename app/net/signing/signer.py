"""Signing as a sender would: for the demo, the tests of other parts, and outgoing webhooks."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.net.signing.checks import CompiledProfile
from app.net.signing.format import Kind, ListFormat, PrefixFormat, TimestampSpec
from app.net.signing.keys import InvalidSecret, decode_key
from app.net.signing.profile import SIGNING_KINDS, Profile
from app.net.signing.signatures import encode_digest
from app.net.signing.template import BODY, DELIVERY_ID, METHOD, PATH, TIMESTAMP

_PRIVATE_KEY_PREFIX = "whsk_"
_SEED_BYTES = 32


def sign(
    compiled: CompiledProfile,
    secret: str,
    body: bytes,
    now: datetime,
    delivery_id: str = "",
    *,
    method: str = "POST",
    path: str = "/",
    signed_headers: dict[str, str] | None = None,
) -> list[tuple[str, str]]:
    """This will return the headers that make a request with ``body`` verify under the profile.

    Args:
        secret: As the sender holds it: the signing secret, the token, ``user:password``, or for Ed25519 the
            private key (``whsk_``). For a URL secret use ``secret_query``; no header is needed.
        delivery_id: Sent where the profile knows a header for it; must not be empty where it is signed.
        signed_headers: Values of further headers that the profile signs; the caller sends them itself.
    """
    profile = compiled.profile
    if profile.kind not in SIGNING_KINDS:
        return _show(profile, secret) + _delivery_headers(profile, delivery_id)
    timestamp = _format_time(profile.timestamp, now) if profile.timestamp is not None else ""
    values = {BODY: body, TIMESTAMP: timestamp.encode(), DELIVERY_ID: delivery_id.encode()}
    values |= {METHOD: method.encode(), PATH: path.encode()}
    values |= {f"header:{name}": value.encode() for name, value in (signed_headers or {}).items()}
    template = profile.template
    message = template.compile()([values[name] for name in template.variables])
    signature = encode_digest(profile.encoding)(_digest(profile, secret, message)).decode()
    headers = [_signature_header(profile, signature, timestamp)]
    if profile.timestamp is not None and profile.timestamp.header is not None:
        headers.append((profile.timestamp.header, timestamp))
    return headers + _delivery_headers(profile, delivery_id)


def secret_query(compiled: CompiledProfile, secret: str) -> str:
    """This will return the query string that carries the secret, empty for profiles that use none."""
    spec = compiled.profile.url_secret
    return f"{spec.parameter}={secret}" if spec is not None else ""


def _show(profile: Profile, secret: str) -> list[tuple[str, str]]:
    if profile.kind is Kind.BASIC:
        return [("authorization", "Basic " + base64.b64encode(secret.encode()).decode())]
    if profile.token is not None:
        return [(profile.token.header, profile.token.prefix + secret)]
    return []


def _delivery_headers(profile: Profile, delivery_id: str) -> list[tuple[str, str]]:
    spec = profile.delivery_id
    return [(spec.header, delivery_id)] if spec is not None and spec.header is not None and delivery_id else []


def _digest(profile: Profile, secret: str, message: bytes) -> bytes:
    if profile.kind is Kind.ED25519:
        return _private_key(secret).sign(message)
    return hmac.digest(decode_key(profile, secret), message, profile.algorithm)


def _private_key(secret: str) -> Ed25519PrivateKey:
    """Standard Webhooks prints the seed, with or without the public key behind it."""
    raw = base64.b64decode(secret.removeprefix(_PRIVATE_KEY_PREFIX))
    if len(raw) not in (_SEED_BYTES, 2 * _SEED_BYTES):
        raise InvalidSecret("an Ed25519 private key has 32 bytes, or 64 with the public key")
    return Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])


def _signature_header(profile: Profile, signature: str, timestamp: str) -> tuple[str, str]:
    if profile.signature is None:
        raise ValueError("a signing profile has a signature")
    spec = profile.signature.format
    if isinstance(spec, PrefixFormat):
        value = spec.prefix + signature
    elif isinstance(spec, ListFormat):
        value = spec.version + spec.joiner + signature
    elif spec.type == "kv":
        stamp = f"{spec.timestamp_key}={timestamp}{spec.separator}" if spec.timestamp_key is not None else ""
        value = f"{stamp}{spec.signature_key}={signature}"
    else:
        value = signature
    return profile.signature.header, value


def _format_time(spec: TimestampSpec, now: datetime) -> str:
    if spec.format == "unix_s":
        return str(int(now.timestamp()))
    if spec.format == "unix_ms":
        return str(int(now.timestamp() * 1000))
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
