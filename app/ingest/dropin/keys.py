"""Finding a source by the key of a sender that knows no address of ours.

What is remembered are keyed digests of keys and the public ids of sources. Whether the key still counts is not decided
here: the intake route verifies it as any other credential, so that a retired key, a deleted source and a key that never
was are one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from sqlalchemy import text

from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.ingest.remembered import Remembered
from app.net.keyring import KeyRing
from app.settings import Settings

MAX_KEY_CHARS = 256

_FIND = text("select tocsin_private.find_source_by_key(:lookup)")


class SenderKeys:
    """One process's memory of which key finds which source."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.get(Database)
        self._keyring = resources.get(KeyRing)
        self.memory = Remembered(self._look, settings=resources.get(Settings).ingest, ticks=time.monotonic)

    async def find(self, key: str) -> str:
        """This will return the public id of the source that the key finds.

        For a stranger's key it is one that no source has, always the same for the same key: whoever goes on with it meets
        what an unknown source meets.

        Raises:
            Unavailable: The key is not in memory and the database does not answer.
        """
        lookup = self._keyring.lookup(key[: MAX_KEY_CHARS + 1])
        found = await self.memory.find(lookup)
        return found if found is not None else _nobody(lookup)

    async def _look(self, lookup: bytes) -> str | None:
        async with system_session(self._database, reason="ingest.find_source_by_key") as session:
            found: str | None = (await session.execute(_FIND, {"lookup": lookup})).scalar_one_or_none()
        return found


def _nobody(lookup: bytes) -> str:
    """128 bits that nobody can aim at a source, in the letters of a public id."""
    digest = hmac.digest(lookup, b"tocsin nobody", hashlib.sha256)[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()
