"""Published keys: JSON Web Key Sets and X.509 certificates, read as strangers' text.

Source: RFC 7517 and 7518, section 6; RFC 8725, section 3.1: a key is used with one algorithm.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

import orjson
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

MAX_DOCUMENT_BYTES: Final = 262_144
_MAX_KEYS: Final = 50
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
_USUAL_EXPONENTS: Final = frozenset({3, 17, 65_537})
_KEY_ID = re.compile(r"[!-~]{1,255}")


class Document(Enum):
    """What stands at an address that keys are fetched from."""

    JWKS = "jwks"
    CERTIFICATE = "certificate"


class UnreadableKeys(ValueError):
    """The document holds no key that may be used."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One public key and the only algorithm it is used with.

    Attributes:
        not_before: Of a certificate; None for keys that are valid as long as they are published.
        names: The DNS names that a certificate gives its holder, lower case.
    """

    algorithm: str
    key: RSAPublicKey | EllipticCurvePublicKey = field(repr=False)
    not_before: datetime | None = None
    not_after: datetime | None = None
    names: frozenset[str] = frozenset()

    def is_valid_at(self, now: datetime) -> bool:
        if self.not_before is None or self.not_after is None:
            return True
        return self.not_before <= now <= self.not_after


KeySet = Mapping[str, PublishedKey]
"""Keys by their id; a certificate's has the id ``""``."""


@contextmanager
def quietly() -> Iterator[None]:
    """This will read a stranger's certificate without the library's advice on how it should have been made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def read_document(document: Document, raw: bytes) -> KeySet:
    """This will return the usable keys of what was fetched.

    Raises:
        UnreadableKeys: There is none, or the document is too large or of another shape.
    """
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise UnreadableKeys("the document is too large")
    return _read_certificate(raw) if document is Document.CERTIFICATE else _read_jwks(raw)


def _read_certificate(raw: bytes) -> KeySet:
    try:
        with quietly():
            found = x509.load_pem_x509_certificate(raw)
        key, valid_from, valid_until = found.public_key(), found.not_valid_before_utc, found.not_valid_after_utc
        names = frozenset(name.lower() for name in _dns_names(found))
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise UnreadableKeys("the document is no PEM certificate that can be read") from error
    if not isinstance(key, RSAPublicKey) or not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise UnreadableKeys("the certificate's key is no RSA key of a usual size")
    return {"": PublishedKey("RS256", key, valid_from, valid_until, names)}


def _dns_names(found: x509.Certificate) -> list[str]:
    """The subject's common name counts only where there are no alternative names.

    Source: RFC 6125, section 6.4.4.
    """
    try:
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(part.value) for part in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return named.get_values_for_type(x509.DNSName)


def _read_jwks(raw: bytes) -> KeySet:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise UnreadableKeys("the key set is no JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise UnreadableKeys("the key set has no list of keys, or too long a one")
    found: dict[str, PublishedKey] = {}
    doubled: set[str] = set()
    for entry in entries:
        key_id = entry.get("kid") if isinstance(entry, dict) else None
        if not isinstance(key_id, str) or _KEY_ID.fullmatch(key_id) is None:
            continue
        key = _read_key(entry)
        if key is not None and key_id in found:
            doubled.add(key_id)
        elif key is not None:
            found[key_id] = key
    usable = {key_id: key for key_id, key in found.items() if key_id not in doubled}
    if not usable:
        raise UnreadableKeys("the key set holds no key that may be used")
    return usable


def _read_key(entry: dict[str, object]) -> PublishedKey | None:
    """This will return the key, None for one of another kind, use or algorithm: it is not ours to use."""
    operations = entry.get("key_ops")
    if entry.get("use", "sig") != "sig" or (operations is not None and operations != ["verify"]):
        return None
    kind, algorithm = entry.get("kty"), entry.get("alg")
    try:
        if kind == "RSA" and algorithm in (None, "RS256"):
            return _rsa(_number(entry.get("n")), _number(entry.get("e")))
        if kind == "EC" and entry.get("crv") == "P-256" and algorithm in (None, "ES256"):
            point = EllipticCurvePublicNumbers(_number(entry.get("x")), _number(entry.get("y")), SECP256R1())
            return PublishedKey("ES256", point.public_key())
    except ValueError:
        return None
    return None


def _rsa(modulus: int, exponent: int) -> PublishedKey | None:
    if not _MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS or exponent not in _USUAL_EXPONENTS:
        return None
    return PublishedKey("RS256", RSAPublicNumbers(exponent, modulus).public_key())


def _number(text: object) -> int:
    """Source: RFC 7518, section 2, Base64urlUInt."""
    if not isinstance(text, str) or len(text) > 2 * _MAX_RSA_BITS // 8:
        raise ValueError("no number")
    try:
        return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True), "big")
    except binascii.Error:
        raise ValueError("no number") from None
