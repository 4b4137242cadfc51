"""Secrets of sources: what is accepted, how it is stored, how it becomes key bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.core.errors import Invalid
from app.net.signing.checks import CompiledProfile
from app.net.signing.format import KeySpec, Kind
from app.net.signing.mtls_check import CONSENT
from app.net.signing.pins import InvalidPin, describe_pin, read_pins
from app.net.signing.profile import DIGESTED_KINDS, SIGNING_KINDS, Profile
from app.net.signing.verdicts import Secret

MIN_KEY_BYTES: Final = 24
MAX_SECRET_CHARS: Final = 1024
_GENERATED_BYTES: Final = 32
_PUBLIC_KEY_BYTES: Final = 32
_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")


class InvalidSecret(Invalid):
    """The secret cannot protect anything: empty, too short, or not in the profile's encoding."""

    code = "signing.invalid_secret"
    title = "The signing secret cannot be used"
    hint = "Let Tocsin generate one, or take one of at least 24 random bytes."


class SecretNotGenerated(Invalid):
    """What the source needs comes from the sender: a public key, a token of its own, or whom to believe."""

    code = "signing.secret_not_generated"
    title = "What this profile needs comes from the sender"
    hint = (
        "Give the sender's public key or token, or whom to believe, as the source's secret; see the profile's set-up."
    )


def validate_secret(profile: CompiledProfile, text: str) -> None:
    """This will refuse a secret that must not be saved for a source of ``profile``.

    Raises:
        InvalidSecret: Empty, whitespace, a prefix alone, fewer than 24 bytes, too long or wrongly encoded.
    """
    if not text or text != text.strip() or any(not 0x20 < ord(c) < 0x7F for c in text.replace(" ", "_")):
        raise InvalidSecret("a secret is printable ASCII without white space around it, and not empty")
    if len(text) > MAX_SECRET_CHARS:
        raise InvalidSecret(f"a secret has at most {MAX_SECRET_CHARS} characters")
    if profile.profile.is_pinned:
        _pins(profile.profile, text)
        return
    if profile.kind is Kind.NONE:
        _check_consent(text)
        return
    protected = _protected_part(profile.profile, text)
    if len(protected) < MIN_KEY_BYTES:
        raise InvalidSecret(f"the secret has {len(protected)} bytes; at least {MIN_KEY_BYTES} are needed")


def _pins(profile: Profile, text: str) -> Mapping[str, str]:
    try:
        return read_pins(profile, text)
    except InvalidPin as error:
        raise InvalidSecret(f"whom to believe is not said as {profile.slug!r} needs it: {error}") from None


def _check_consent(text: str) -> None:
    if text != CONSENT:
        raise InvalidSecret(f"a source without any proof needs the words {CONSENT!r}")


def _protected_part(profile: Profile, text: str) -> bytes:
    """This will return the bytes whose number counts: the key, or the password behind a user name."""
    if profile.kind is Kind.BASIC:
        user, separator, password = text.partition(":")
        if not separator or not user:
            raise InvalidSecret("a basic credential is written user:password")
        return password.encode()
    if profile.kind is Kind.URL_SECRET and _URL_SAFE.fullmatch(text) is None:
        raise InvalidSecret("a URL secret holds letters, digits and . _ ~ - only, so that it needs no escaping")
    if profile.kind is Kind.TOKEN and " " in text:
        raise InvalidSecret("a token holds no spaces")
    key = decode_key(profile, text)
    if profile.kind is Kind.ED25519:
        _check_public_key(key)
    return key


def _check_public_key(key: bytes) -> None:
    if len(key) != _PUBLIC_KEY_BYTES:
        raise InvalidSecret(f"an Ed25519 public key has {_PUBLIC_KEY_BYTES} bytes, not {len(key)}")
    Ed25519PublicKey.from_public_bytes(key)


def generate_secret(profile: CompiledProfile) -> str:
    """This will make a new random secret in the spelling that the sender of ``profile`` expects.

    Raises:
        SecretNotGenerated: It must come from the sender, see ``describe_secret``.
    """
    if not profile.hands_out_secret:
        raise SecretNotGenerated(f"give as the secret {describe_secret(profile)}")
    raw = secrets.token_bytes(_GENERATED_BYTES)
    if profile.kind is Kind.BASIC:
        return f"tocsin:{secrets.token_urlsafe(_GENERATED_BYTES)}"
    spec = profile.profile.key
    if spec.decode == "base64":
        text = base64.b64encode(raw).decode()
    elif spec.decode == "hex":
        text = raw.hex()
    else:
        text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return spec.strip_prefix + text


def describe_secret(profile: CompiledProfile) -> str:
    """This will say what a source of this profile holds, and in which words."""
    if profile.hands_out_secret:
        return "a random secret that we make, or yours of at least 24 bytes"
    if profile.profile.is_pinned:
        return f"whom to believe: {describe_pin(profile.profile)}"
    if profile.kind is Kind.NONE:
        return f"the words {CONSENT}: everybody who has the URL can send"
    return "the sender's public key" if profile.kind is Kind.ED25519 else "the sender's own token"


def decode_key(profile: Profile, text: str) -> bytes:
    """This will turn the secret's text into key bytes by the profile's ``key`` rules.

    Raises:
        InvalidSecret: Nothing is left of it, or it is not in the declared encoding.
    """
    return _decode(profile.key, text)


def _decode(spec: KeySpec, text: str) -> bytes:
    stripped = text.removeprefix(spec.strip_prefix)
    try:
        if spec.decode == "base64":
            # Senders print keys with and without padding; anything else outside the alphabet is refused.
            key = base64.b64decode(stripped.rstrip("=") + "=" * (-len(stripped.rstrip("=")) % 4), validate=True)
        elif spec.decode == "hex":
            key = bytes.fromhex(stripped) if stripped.isalnum() else b""
        else:
            key = stripped.encode()
    except (binascii.Error, ValueError):
        raise InvalidSecret(f"the secret is not {spec.decode}") from None
    if not key:
        raise InvalidSecret("the secret is empty")
    return key


def stored_form(profile: CompiledProfile, text: str) -> bytes:
    """This will return what is kept of a secret, to be encrypted by the key ring.

    A signing key must be kept as it is, and so must the name of whom to believe. Of tokens and passwords the SHA-256 is
    enough: they are long and random (``validate_secret``), so a slow hash would only slow the intake down.
    """
    if profile.kind in DIGESTED_KINDS:
        return hashlib.sha256(text.encode()).digest()
    return text.encode()


def load_secret(
    profile: CompiledProfile, stored: bytes, *, secret_id: str, expires_at: datetime | None = None
) -> Secret:
    """This will prepare a stored secret for ``verify``; do it once and keep the result.

    Raises:
        InvalidSecret: The stored form does not decode. A source must then be treated as having no secret.
    """
    if profile.kind in SIGNING_KINDS:
        key = decode_key(profile.profile, stored.decode("utf-8", "replace"))
        if profile.kind is Kind.ED25519:
            _check_public_key(key)
        return Secret(secret_id, key, expires_at)
    if profile.kind in DIGESTED_KINDS:
        if len(stored) != hashlib.sha256().digest_size:
            raise InvalidSecret("the stored digest has a wrong length")
        return Secret(secret_id, stored, expires_at)
    text = stored.decode("utf-8", "replace")
    if profile.profile.is_pinned:
        return Secret(secret_id, stored, expires_at, _pins(profile.profile, text))
    if profile.kind is Kind.NONE:
        _check_consent(text)
    elif not stored:
        raise InvalidSecret("the secret is empty")
    return Secret(secret_id, stored, expires_at)
