"""Asking PostgreSQL how many of its connections are taken, by whomever.

A process sees its own pool only; the server's limit is met by all processes together. Relays ask: they are few.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge

CONNECTIONS = gauge("tocsin_postgres_connections", "Connections to the PostgreSQL server, of all its clients.", ())
LIMIT = gauge("tocsin_postgres_connections_limit", "Connections that the PostgreSQL server accepts at the most.", ())
EVERY_S = 15.0


class ServerWatch:
    """A sweep of the relay's that counts the server's connections now and then.

    Args:
        every_s: Seconds between two looks; the first is at the first call.
        ticks: Seconds on a clock that never goes back.
    """

    def __init__(self, *, every_s: float = EVERY_S, ticks: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._ticks = ticks
        self._next = 0.0

    async def __call__(self, session: SystemSession) -> None:
        """This will set the gauges."""
        now = self._ticks()
        if now < self._next:
            return
        # Not pg_stat_activity: to a role without rights it does not tell clients from the server's own processes.
        statement = (
            "select coalesce(sum(numbackends), 0), current_setting('max_connections')::int from pg_stat_database"
        )
        used, limit = (await session.execute(text(statement))).one()
        self._next = now + self._every_s
        CONNECTIONS.set(used)
        LIMIT.set(limit)
