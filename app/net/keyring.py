"""Secrets at rest: authenticated encryption with keys that rotate, and digests to find one by.

A token is ``version | length of the key id | key id | nonce | ciphertext and tag``. AES-256-GCM binds it to
its key id and to the caller's ``context`` (the row it belongs to), so that a token moved to another row does
not decrypt. Fernet would be simpler, but it cannot bind a context.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core.errors import Unavailable
from app.settings.security import KEY_SIZE_BYTES, SecuritySettings, decode_key_entry

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_DOMAIN: Final = b"tocsin.keyring"


class NoEncryptionKey(Unavailable):
    """The process has no key: nothing secret is stored or read, rather than stored in clear."""

    code = "keyring.no_key"
    title = "No encryption key is configured"
    hint = "Set TOCSIN_SECURITY__ENCRYPTION_KEYS."


class SecretUnreadable(Unavailable):
    """A stored secret does not decrypt: its key is gone, it was tampered with, or it belongs elsewhere."""

    code = "keyring.unreadable"
    title = "A stored secret cannot be read"
    hint = "Check that the key it was encrypted with is still configured."


class KeyRing:
    """The keys of this deployment, newest first: the first encrypts, all decrypt."""

    def __init__(self, keys: Sequence[tuple[str, bytes]], *, lookup_pepper: str = "") -> None:
        self._ciphers = {key_id.encode(): AESGCM(key) for key_id, key in keys}
        if len(self._ciphers) != len(keys):
            raise ValueError("two encryption keys have the same id")
        self._newest = keys[0][0].encode() if keys else None
        self._lookup_key = hashlib.sha256(b"tocsin look-up of secrets\x00" + lookup_pepper.encode()).digest()

    @classmethod
    def from_settings(cls, settings: SecuritySettings) -> Self:
        """This will build the ring of ``settings.encryption_keys``; an empty one refuses all work."""
        keys = [decode_key_entry(entry.get_secret_value()) for entry in settings.encryption_keys]
        return cls(keys, lookup_pepper=settings.token_pepper.get_secret_value())

    @property
    def is_usable(self) -> bool:
        return self._newest is not None

    def encrypt(self, plaintext: bytes, *, context: str) -> bytes:
        """This will encrypt with the newest key.

        Args:
            context: What the secret belongs to, such as ``source_secret:<tenant>:<id>``; the same text is
                needed to decrypt.

        Raises:
            NoEncryptionKey: The ring is empty.
        """
        if self._newest is None:
            raise NoEncryptionKey
        header = _header(self._newest)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return header + nonce + self._ciphers[self._newest].encrypt(nonce, plaintext, _bound(header, context))

    def decrypt(self, token: bytes, *, context: str) -> bytes:
        """This will return the plaintext of ``token``.

        Raises:
            NoEncryptionKey: The ring is empty.
            SecretUnreadable: Unknown version or key, another context, or changed bytes.
        """
        if self._newest is None:
            raise NoEncryptionKey
        key_id, rest = _split(token)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SecretUnreadable(f"the secret was encrypted with key {key_id.decode('ascii', 'replace')!r}")
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(_header(key_id), context))
        except InvalidTag:
            raise SecretUnreadable from None

    def lookup(self, secret: str) -> bytes:
        """This will return the digest that a long random secret is found by; it outlives every encryption key.

        Keyed, so that a copy of the database does not even say whether a key that somebody holds is in it.
        """
        return hmac.digest(self._lookup_key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def needs_rewrap(self, token: bytes) -> bool:
        """This will say whether ``token`` should be encrypted anew, because its key is not the newest."""
        return _split(token)[0] != self._newest

    def rewrap(self, token: bytes, *, context: str) -> bytes:
        """This will return ``token`` under the newest key, the same token if it already is.

        Raises:
            SecretUnreadable: As for ``decrypt``.
        """
        return (
            self.encrypt(self.decrypt(token, context=context), context=context) if self.needs_rewrap(token) else token
        )


def generate_key_entry(key_id: str) -> str:
    """This will make a new ``id:base64key`` for ``settings.security.encryption_keys``."""
    entry = f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_SIZE_BYTES)).decode()}"
    decode_key_entry(entry)
    return entry


def _header(key_id: bytes) -> bytes:
    return bytes((_VERSION, len(key_id))) + key_id


def _bound(header: bytes, context: str) -> bytes:
    return b"\0".join((_DOMAIN, header, context.encode()))


def _split(token: bytes) -> tuple[bytes, bytes]:
    """This will return the key id and what follows it.

    Raises:
        SecretUnreadable: Cut short, or of another version.
    """
    if len(token) < 2 or token[0] != _VERSION or len(token) < 2 + token[1] + _NONCE_BYTES + _TAG_BYTES:
        raise SecretUnreadable
    end = 2 + token[1]
    return token[2:end], token[end:]
