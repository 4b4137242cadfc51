"""Ed25519, at an even price: what a wrong signature costs can be spent by a refusal that never came to a signature.

Source: RFC 8032, section 5.1.7.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493

_NOBODY: Final = Ed25519PrivateKey.generate()
_NOBODYS_KEY: Final = _NOBODY.public_key().public_bytes_raw()
_NOBODYS_SIGNATURE: Final = _NOBODY.sign(b"nobody signs a body with this")


def is_signature(raw: bytes | None) -> bool:
    """This will say whether ``raw`` may be a signature at all.

    What fails here would be given up by the library before any work on the curve, so that it must not count as work.
    """
    return raw is not None and len(raw) == SIGNATURE_BYTES and int.from_bytes(raw[32:], "little") < _ORDER


def holds(key: bytes, signature: bytes, message: bytes) -> bool:
    """This will say whether the signature is right; each call costs the same."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def try_in_vain(message: bytes) -> None:
    """This will do the work of a wrong signature over ``message``."""
    holds(_NOBODYS_KEY, _NOBODYS_SIGNATURE, message)
