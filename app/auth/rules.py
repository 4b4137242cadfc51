"""Roles and tokens, pure: what a role may, what a token looks like, how it is hashed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from enum import StrEnum

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS = 43  # 62 ** 43 > 2 ** 256
CHECK_CHARACTERS = 6
TENANT_PREFIX = "tcs"
OPERATOR_PREFIX = "tco"
_BODY = rf"([0-9A-Za-z]{{{RANDOM_CHARACTERS}}})([0-9A-Za-z]{{{CHECK_CHARACTERS}}})"
_TOKEN = re.compile(rf"(?:{TENANT_PREFIX}|{OPERATOR_PREFIX})_{_BODY}")
SHOWN_PREFIX = 12


class Role(StrEnum):
    """What a token may do; each includes the one before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ENGINEER = "engineer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def includes(self, other: Role) -> bool:
        """This will say whether this role may do what ``other`` may."""
        return self.rank >= other.rank


def generate_token(prefix: str = TENANT_PREFIX) -> str:
    """This will return a fresh token: prefix, 256 random bits in base 62, and a checksum."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return f"{prefix}_{body}{_checksum(body)}"


def is_well_formed(token: str) -> bool:
    """This will say whether the text can be a token at all, by shape and checksum, before any look-up.

    The checksum keeps typing errors and scanners' guesses away from the database; it proves nothing else. One token has
    exactly one spelling: base 62 has no padding and no second alphabet.
    """
    match = _TOKEN.fullmatch(token)
    return match is not None and _checksum(match.group(1)) == match.group(2)


def hash_token(token: str, pepper: bytes) -> bytes:
    """This will return the keyed hash that is stored; a fast hash is right for 256 random bits."""
    return hmac.digest(pepper, token.encode(), hashlib.sha256)


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(CHECK_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)
