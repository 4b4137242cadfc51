"""What a process's connection pools hold, read when somebody scrapes, and how often they had nothing to give."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.observability.metrics import counter, gauge

IN_USE = gauge("tocsin_db_pool_in_use", "Connections that are checked out of the pool, by database role.", ("role",))
LIMIT = gauge("tocsin_db_pool_limit", "Connections that the pool opens at the most, by database role.", ("role",))
UNAVAILABLE = counter(
    "tocsin_db_unavailable_total",
    "Transactions that got no connection, or lost the one they had, by database role.",
    ("role",),
)


def watch_pool(engine: AsyncEngine, *, role: str, limit: int) -> None:
    """This will have the gauges of a role read this engine's pool from now on; a process has one engine per role.

    Args:
        role: ``app`` or ``system``.
        limit: Connections that the pool opens at the most.
    """
    LIMIT.labels(role).set(limit)
    IN_USE.labels(role).set_function(_in_use(engine))


def _in_use(engine: AsyncEngine) -> Callable[[], float]:
    # Not held: the registry outlives every engine. A renewed pool is another object, so the engine is asked each time.
    held = weakref.ref(engine)

    def read() -> float:
        found = held()
        pool = found.pool if found is not None else None
        return float(pool.checkedout()) if isinstance(pool, QueuePool) else 0.0

    return read
