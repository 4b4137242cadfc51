"""Dumps that only the holder of an encryption key can read.

A sealed file is ``magic | length of the key id | key id | salt``, then chunks of a mebibyte, each AES-256-GCM under a key that is
derived from the configured one and the salt. A nonce is the chunk's number and whether it is the last, so chunks that were
cut off, left out or put elsewhere do not open.

Source: Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (2015),
the STREAM construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_bytes
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.operations.backup.errors import BackupDamaged, KeyMissing

MAGIC: Final = b"TOCSINB1"
CHUNK_BYTES: Final = 1024 * 1024
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 16


class Sealer:
    """Writes one sealed file; ``close`` is what makes it whole.

    Args:
        file: Where to.
        key_id: Named in the header, so that the reader knows which key to use.
        key: 32 bytes.
    """

    def __init__(self, file: BinaryIO, *, key_id: str, key: bytes) -> None:
        salt = token_bytes(_SALT_BYTES)
        self._file = file
        self._header = MAGIC + bytes([len(key_id)]) + key_id.encode() + salt
        self._cipher = _cipher(key, salt)
        self._waiting = b""
        self._number = 0
        file.write(self._header)

    def write(self, plain: bytes) -> None:
        """This will seal what fills a chunk and keep the rest for the next call."""
        self._waiting += plain
        # The last chunk must be known as such, so a full one waits until there is more.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(self._waiting[:CHUNK_BYTES], last=False)
            self._waiting = self._waiting[CHUNK_BYTES:]

    def close(self) -> None:
        """This will seal the last chunk; the file itself is the caller's to close."""
        self._seal(self._waiting, last=True)

    def _seal(self, plain: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), plain, self._header))
        self._number += 1


def open_sealed(path: Path, keys: Mapping[str, bytes]) -> Iterator[bytes]:
    """This will yield the plain bytes of a sealed file, chunk by chunk.

    Raises:
        KeyMissing: Its key is not among ``keys``.
        BackupDamaged: It does not open: changed, cut off, or another key under the same id.
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC) + 1)
        key_id = file.read(start[-1]) if start[:-1] == MAGIC else b""
        salt = file.read(_SALT_BYTES)
        if not key_id or len(salt) != _SALT_BYTES:
            raise BackupDamaged(f"{path} is not a sealed backup of Tocsin")
        name = key_id.decode(errors="replace")
        if name not in keys:
            raise KeyMissing(
                f"{path} is sealed with the encryption key {name!r}, which is not configured: put it into "
                "TOCSIN_SECURITY__ENCRYPTION_KEYS"
            )
        cipher, header, number = _cipher(keys[name], salt), start + key_id + salt, 0
        chunk = file.read(CHUNK_BYTES + _TAG_BYTES)
        while True:
            following = file.read(CHUNK_BYTES + _TAG_BYTES)
            try:
                plain = cipher.decrypt(_nonce(number, last=not following), chunk, header)
            except InvalidTag:
                raise BackupDamaged(
                    f"{path} does not open at chunk {number}: it was changed, or {name!r} is another key than it was"
                ) from None
            if plain:
                yield plain
            if not following:
                return
            chunk, number = following, number + 1


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=b"tocsin.backup").derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
