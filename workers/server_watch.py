"""Asking PostgreSQL how many of its connections are taken, by whomever.

A process sees its own pool only; the server's limit is met by all processes together. Relays ask: they are few.
"""

from __future__ import annotations

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge
from workers.now_and_then import NowAndThen

CONNECTIONS = gauge("tocsin_postgres_connections", "Connections to the PostgreSQL server, of all its clients.", ())
LIMIT = gauge("tocsin_postgres_connections_limit", "Connections that the PostgreSQL server accepts at the most.", ())
EVERY_S = 15.0


class ServerWatch(NowAndThen):
    """A sweep of the relay's that counts the server's connections."""

    every_s = EVERY_S

    async def look(self, session: SystemSession) -> None:
        """This will set the gauges."""
        # Not pg_stat_activity: to a role without rights it does not tell clients from the server's own processes.
        statement = (
            "select coalesce(sum(numbackends), 0), current_setting('max_connections')::int from pg_stat_database"
        )
        used, limit = (await session.execute(text(statement))).one()
        CONNECTIONS.set(used)
        LIMIT.set(limit)
