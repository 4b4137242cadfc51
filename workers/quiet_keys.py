"""Forgetting alerts' keys and groups of which nothing was heard for long.

A head remembers the order of a key's events, so that a late one changes nothing. After a quarter of a year without any, the
next event of that key may begin anew. Senders that put a build or pod number into their keys would otherwise fill the
table for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core.clock import Clock
from app.db.system import SystemSession, server_time
from app.observability.metrics import counter
from workers.now_and_then import NowAndThen

log = structlog.get_logger(__name__)

FORGOTTEN = counter(
    "tocsin_quiet_keys_forgotten_total", "Remembered keys that were forgotten, by their kind.", ("kind",)
)
QUIET: Final = timedelta(days=90)
EVERY_S = 10.0
STRETCH = 1000
_START: Final = (UUID(int=0), UUID(int=0), "")
_COLUMNS: Final = "select removed, seen, tenant_id, source_id, key from "
_FORGET = {
    "heads": text(_COLUMNS + "tocsin_private.forget_quiet_heads(:before, :limit, :tenant, :source, :key)"),
    "groups": text(_COLUMNS + "tocsin_private.forget_quiet_groups(:before, :limit, :tenant, :source, :key)"),
}


class QuietKeys(NowAndThen):
    """A sweep of the relay's that walks both tables round and round, a stretch at a time.

    Args:
        clock: What "long ago" is measured from; the server's time where it is left out.
        stretch: Rows that are looked at in one.
        ticks: Seconds on a clock that never goes back.
    """

    every_s = EVERY_S

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        stretch: int = STRETCH,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ticks=ticks)
        self._clock = clock
        self._stretch = stretch
        self._reached: dict[str, tuple[UUID, UUID, str]] = dict.fromkeys(_FORGET, _START)

    async def look(self, session: SystemSession) -> None:
        """This will look at the next stretch of each table."""
        now = self._clock.now() if self._clock is not None else await server_time(session)
        for kind, statement in _FORGET.items():
            tenant, source, key = self._reached[kind]
            values = {"before": now - QUIET, "limit": self._stretch}
            values |= {"tenant": tenant, "source": source, "key": key}
            row = (await session.execute(statement, values)).one()
            self._reached[kind] = (row[2], row[3], row[4]) if row[1] == self._stretch else _START
            FORGOTTEN.labels(kind).inc(row[0])
