"""Client certificates as a trusted proxy shows them in a header, and the names in them that a source may pin.

Source: RFC 9440 (``Client-Cert``); nginx, ``$ssl_client_escaped_cert``; Envoy, ``x-forwarded-client-cert``, read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from app.net.signing.key_sets import quietly

MAX_HEADER_BYTES: Final = 16_384
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,12000}-----END CERTIFICATE-----\s*")
_XFCC = re.compile(rb'(?:^|[;,])\s*Cert="?([^";,]{1,16000})"?')
_UNREADABLE: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion)


def read_header(value: bytes) -> bytes | None:
    """This will return the DER of the certificate in a header, in any of the three usual spellings; None for none."""
    if len(value) > MAX_HEADER_BYTES:
        return None
    if value.startswith(b":") and value.endswith(b":") and len(value) > 2:
        return _decode(value[1:-1])
    envoy = _XFCC.findall(value)
    if len(envoy) > 1:
        return None  # a chain of proxies: whose client is meant would be a guess
    pem = unquote_to_bytes(envoy[0] if envoy else value)
    if _PEM.fullmatch(pem) is None:
        return None
    return _decode(b"".join(pem.split(b"-----")[2].split()))


def _decode(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


class Certificate:
    """A certificate with what can be pinned of it."""

    def __init__(self, der: bytes) -> None:
        """This will read the certificate.

        Raises:
            ValueError: It cannot be read.
        """
        try:
            with quietly():
                found = x509.load_der_x509_certificate(der)
            self._from, self._until = found.not_valid_before_utc, found.not_valid_after_utc
            fingerprint = found.fingerprint(hashes.SHA256()).hex()
            self.names = frozenset(
                {f"sha256:{fingerprint}", f"subject:{found.subject.rfc4514_string()}", *_sans(found)}
            )
        except _UNREADABLE as error:
            raise ValueError("the certificate cannot be read") from error

    def is_valid_at(self, now: datetime) -> bool:
        return self._from <= now <= self._until


def _sans(found: x509.Certificate) -> set[str]:
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return set()
    return {
        *(f"dns:{name}" for name in extension.get_values_for_type(x509.DNSName)),
        *(f"uri:{name}" for name in extension.get_values_for_type(x509.UniformResourceIdentifier)),
        *(f"email:{name}" for name in extension.get_values_for_type(x509.RFC822Name)),
    }


def pem_to_der(pem: str) -> bytes | None:
    """This will return the DER of a PEM certificate, None if it is none."""
    try:
        with quietly():
            return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    except _UNREADABLE:
        return None
