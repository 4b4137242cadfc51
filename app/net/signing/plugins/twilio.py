"""Twilio: HMAC-SHA1 over the whole URL and the sorted form, or over a URL that holds the digest of the body.

Twilio itself keeps the port in the URL it signs or leaves it out, by product, so both count.
Source: Twilio, "Webhooks security" (Validating requests are coming from Twilio), read 2026-11.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from app.net.signing.checks import (
    MALFORMED,
    MISMATCH,
    MISSING,
    NO_SECRET,
    NOT_CONFIGURED,
    Check,
    active,
    refuse,
)
from app.net.signing.conclusion import compile_conclusion
from app.net.signing.fields import compile_picker
from app.net.signing.profile import Profile
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified

_SIGNATURE: Final = "x-twilio-signature"
_ID: Final = "i-twilio-idempotency-token"
_SIGNATURE_CHARS: Final = 28
_MAX_FIELDS: Final = 200
_MAX_FORM_BYTES: Final = 65_536
_BODY_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}


def compile_twilio_check(profile: Profile) -> Check:
    """This will return the check of Twilio's signature."""
    pick = compile_picker((_SIGNATURE, _ID), profile.limits.max_header_bytes)
    conclude = compile_conclusion(profile)

    def check(request: SignedRequest, secrets: Sequence[Secret], now: datetime) -> Verified | Refused:
        usable = active(secrets, now)
        if not usable:
            return refuse(NO_SECRET, request)
        if not request.origin:
            return refuse(NOT_CONFIGURED, request)
        found = pick(request.headers)
        read = _read(request, found) if found is not None else MALFORMED
        if found is None or isinstance(read, Refused):
            return refuse(read if isinstance(read, Refused) else MALFORMED, request)
        messages, signature = read
        matched: Secret | None = None
        for secret in usable:
            if _matches(secret.key, messages, signature) and matched is None:
                matched = secret
        if matched is None:
            # Counted off, though there may be more of them and SHA-1: what is left over is in docs/security.md (A29).
            return refuse(MISMATCH, request, spent=len(usable) * len(messages))
        return conclude((messages[0], [], None, found.get(_ID.encode())), request.body, matched.id, now)

    return check


def _read(request: SignedRequest, found: dict[bytes, bytes]) -> tuple[list[bytes], bytes] | Refused:
    """This will return what may have been signed, and the signature."""
    signature = found.get(_SIGNATURE.encode())
    if signature is None:
        return MISSING
    if len(signature) != _SIGNATURE_CHARS:
        return MALFORMED
    fields, spellings = signed_fields(request), urls(request)
    if isinstance(fields, Refused):
        return fields
    return ([url + fields for url in spellings], signature) if spellings else NOT_CONFIGURED


def _matches(key: bytes, messages: Sequence[bytes], signature: bytes) -> bool:
    matched = False
    for message in messages:
        expected = binascii.b2a_base64(hmac.digest(key, message, "sha1"), newline=False)
        matched |= hmac.compare_digest(signature, expected)
    return matched


def urls(request: SignedRequest) -> list[bytes]:
    """This will return the spellings of the request's URL, with the port and without; none where the origin is odd."""
    try:
        parts = urlsplit(request.origin)
        port = parts.port
    except ValueError:
        return []
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    hosts = [parts.netloc, host if port is not None else f"{host}:{_DEFAULT_PORTS.get(parts.scheme, '')}"]
    query = b"?" + request.query if request.query else b""
    path = (parts.path.rstrip("/") + request.path).encode("utf-8", "surrogatepass")
    return [f"{parts.scheme}://{name}".encode("utf-8", "replace") + path + query for name in hosts]


def signed_fields(request: SignedRequest) -> bytes | Refused:
    """This will return what is signed behind the URL: the form's fields, or nothing where the URL vouches for the body."""
    try:
        query = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        return MALFORMED
    promised = query.get("bodySHA256")
    if promised is not None:
        if _BODY_DIGEST.fullmatch(promised) is None:
            return MALFORMED
        is_it = hmac.compare_digest(hashlib.sha256(request.body).hexdigest(), promised)
        return b"" if is_it else MISMATCH
    return form_bytes(request.body)


def form_bytes(body: bytes) -> bytes | Refused:
    """This will return names and values of a form, sorted, one after the other; a value sent twice counts once."""
    if not body:
        return b""
    if len(body) > _MAX_FORM_BYTES:
        return MALFORMED
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        return MALFORMED
    return "".join(name + value for name, value in sorted(set(pairs))).encode("utf-8", "surrogatepass")
