"""Finding a source by the key of a sender that knows no address of ours.

What is remembered are keyed digests of keys and the public ids of sources, for seconds and in bounded number, strangers'
keys apart from known ones. Whether the key still counts is not decided here: the intake route verifies it as any other
credential, so that a retired key, a deleted source and a key that never was are one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections import OrderedDict

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import Unavailable
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.net.keyring import KeyRing
from app.settings import Settings

MAX_KEY_CHARS = 256

_FIND = text("select tocsin_private.find_source_by_key(:lookup)")


class SenderKeys:
    """One process's memory of which key finds which source."""

    def __init__(self, resources: Resources) -> None:
        self._settings = resources.get(Settings).ingest
        self._database = resources.get(Database)
        self._keyring = resources.get(KeyRing)
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._slots = asyncio.Semaphore(self._settings.lookups_at_once)

    async def find(self, key: str) -> str:
        """This will return the public id of the source that the key finds.

        For a stranger's key it is one that no source has, always the same for the same key: whoever goes on with it meets
        what an unknown source meets.

        Raises:
            Unavailable: The key is not in memory and the database does not answer.
        """
        lookup = self._keyring.lookup(key[: MAX_KEY_CHARS + 1])
        now = time.monotonic()
        known = self._known.get(lookup)
        if known is not None and known[1] > now:
            return known[0]
        if self._unknown.get(lookup, 0.0) > now:
            return _nobody(lookup)
        try:
            found = await asyncio.wait_for(self._look(lookup), self._settings.commit_wait_s)
        except (TimeoutError, Unavailable, SQLAlchemyError, OSError) as error:
            if known is not None and known[1] + self._settings.source_cache_stale_s > now:
                return known[0]
            raise Unavailable("the key could not be looked up", retry_after_s=1) from error
        self._remember(lookup, found, now)
        return found if found is not None else _nobody(lookup)

    async def _look(self, lookup: bytes) -> str | None:
        async with self._slots, system_session(self._database, reason="ingest.find_source_by_key") as session:
            found: str | None = (await session.execute(_FIND, {"lookup": lookup})).scalar_one_or_none()
        return found

    def _remember(self, lookup: bytes, found: str | None, now: float) -> None:
        if found is None:
            self._known.pop(lookup, None)
            self._unknown[lookup] = now + self._settings.unknown_cache_ttl_s
            self._unknown.move_to_end(lookup)
            while len(self._unknown) > self._settings.unknown_cache_size:
                self._unknown.popitem(last=False)
            return
        self._known[lookup] = found, now + self._settings.source_cache_ttl_s
        self._known.move_to_end(lookup)
        while len(self._known) > self._settings.source_cache_size:
            self._known.popitem(last=False)


def _nobody(lookup: bytes) -> str:
    """128 bits that nobody can aim at a source, in the letters of a public id."""
    digest = hmac.digest(lookup, b"tocsin nobody", hashlib.sha256)[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()
