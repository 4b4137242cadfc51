"""Signatures as text: taken out of their header, and compared.

The signature is compared as text against the one canonical spelling of the expected digest. So a re-spelled
one (upper-case hex, spare base64 bits, white space) never verifies, and nothing has to be decoded first.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable

from app.net.signing import curve
from app.net.signing.format import (
    MAX_SIGNATURES,
    KeyValueFormat,
    ListFormat,
    PrefixFormat,
    SignatureFormat,
)
from app.net.signing.profile import Profile

Splitter = Callable[[bytes], tuple[list[bytes], bytes | None] | None]
Matcher = Callable[[bytes, bytes, list[bytes]], bool]

_DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha512": 64}


def compile_splitter(spec: SignatureFormat) -> Splitter:
    """This will return a function from the header's value to the signatures in it and a timestamp beside them."""
    if isinstance(spec, PrefixFormat):
        prefix = spec.prefix.encode()
        return lambda value: ([value[len(prefix) :]], None) if value.startswith(prefix) else None
    if isinstance(spec, ListFormat):
        return _list_splitter(spec)
    if isinstance(spec, KeyValueFormat):
        return _key_value_splitter(spec)
    return lambda value: ([value], None)


def _list_splitter(spec: ListFormat) -> Splitter:
    separator, head = spec.separator.encode(), (spec.version + spec.joiner).encode()

    def split(value: bytes) -> tuple[list[bytes], bytes | None] | None:
        if value.count(separator) >= MAX_SIGNATURES:
            return None
        signatures = [item[len(head) :] for item in value.split(separator) if item.startswith(head)]
        return (signatures, None) if signatures else None

    return split


def _key_value_splitter(spec: KeyValueFormat) -> Splitter:
    separator, signature_key = spec.separator.encode(), spec.signature_key.encode()
    timestamp_key = spec.timestamp_key.encode() if spec.timestamp_key is not None else None

    def split(value: bytes) -> tuple[list[bytes], bytes | None] | None:
        if value.count(separator) >= MAX_SIGNATURES:
            return None
        signatures, timestamp = [], None
        for item in value.split(separator):
            key, _, text = item.partition(b"=")
            if key == signature_key:
                signatures.append(text)
            elif key == timestamp_key:
                if timestamp is not None:
                    return None
                timestamp = text
        return (signatures, timestamp) if signatures else None

    return split


def encode_digest(encoding: str) -> Callable[[bytes], bytes]:
    """This will return the function that spells a digest canonically."""
    if encoding == "hex":
        return lambda digest: digest.hex().encode()
    if encoding == "base64":
        return lambda digest: binascii.b2a_base64(digest, newline=False)
    return base64.urlsafe_b64encode


def decode_canonical(encoding: str, text: bytes) -> bytes | None:
    """This will decode ``text``, None unless encoding the result again gives exactly ``text``."""
    try:
        if encoding == "hex":
            decoded = binascii.unhexlify(text)
        elif encoding == "base64":
            decoded = base64.b64decode(text, validate=True)
        else:
            decoded = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if encode_digest(encoding)(decoded) == text else None


def compile_matcher(profile: Profile) -> Matcher:
    """This will return a function that says whether one of the HMACs is right, without an early exit."""
    algorithm, encode = profile.algorithm, encode_digest(profile.encoding)
    digest, equal = hmac.digest, hmac.compare_digest

    def match(key: bytes, message: bytes, signatures: list[bytes]) -> bool:
        expected = encode(digest(key, message, algorithm))
        matched = False
        for signature in signatures:
            matched |= equal(signature, expected)
        return matched

    return match


def compile_curve_reader(encoding: str) -> Callable[[list[bytes]], list[bytes]]:
    """This will return a function from signatures as text to those that may be Ed25519 signatures."""

    def read(signatures: list[bytes]) -> list[bytes]:
        decoded = (decode_canonical(encoding, signature) for signature in signatures)
        return [raw for raw in decoded if raw is not None and curve.is_signature(raw)]

    return read


def compile_shape(profile: Profile) -> Callable[[list[bytes]], bool]:
    """This will return a function that says whether any signature is well formed, right or wrong."""
    size, encoding = _DIGEST_BYTES[profile.algorithm], profile.encoding

    def is_well_formed(signatures: list[bytes]) -> bool:
        return any(len(decode_canonical(encoding, text) or b"") == size for text in signatures)

    return is_well_formed
