"""What the process depends on, asked with a bound on the time; shown without names of tenants or servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import TocsinError
from app.db.engine import Database
from app.db.system import system_session

STATS_CAP = 10_000


@dataclass(frozen=True)
class Check:
    """How one dependency is: ``ok`` or ``failing``, how long the answer took, and figures where there are any."""

    status: str
    duration_ms: float
    details: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == "ok"


async def _timed(ask: Callable[[], Awaitable[dict[str, Any]]], timeout_s: float) -> Check:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            details, status = await ask(), "ok"
    except (TocsinError, SQLAlchemyError, RedisError, OSError, TimeoutError) as error:
        # The class says enough for a person and nothing about hosts or credentials.
        details, status = {"error": type(error).__name__}, "failing"
    return Check(status, round((time.perf_counter() - started) * 1000, 2), details)


async def check_database(database: Database, *, timeout_s: float) -> Check:
    """This will ask PostgreSQL for its time and its schema's revision."""

    async def ask() -> dict[str, Any]:
        async with system_session(database, reason="health.database") as session:
            await session.execute(text("select 1"))
        pool = database.app.pool
        return {
            "pool_in_use": getattr(pool, "checkedout", lambda: 0)(),
            "pool_size": getattr(pool, "size", lambda: 0)(),
        }

    return await _timed(ask, timeout_s)


async def check_redis(redis: Redis, *, timeout_s: float) -> Check:
    """This will ping Redis."""

    async def ask() -> dict[str, Any]:
        await redis.ping()
        return {}

    return await _timed(ask, timeout_s)


async def check_queues(database: Database, *, timeout_s: float, stale_worker_s: float) -> Check:
    """This will report each queue's due, running and dead jobs and how many workers poll; counts stop at a cap."""

    async def ask() -> dict[str, Any]:
        async with system_session(database, reason="health.queues") as session:
            stats = await session.execute(text("select * from tocsin_private.queue_stats(:cap)"), {"cap": STATS_CAP})
            queues = {row["queue"]: {name: row[name] for name in row if name != "queue"} for row in stats.mappings()}
            alive = await session.execute(
                text(
                    "select count(*) from tocsin_private.list_workers() where last_poll_at > now() - make_interval(secs => :s)"
                ),
                {"s": stale_worker_s},
            )
            paused = await session.execute(text("select queue from tocsin_private.list_queue_pauses()"))
            return {"queues": queues, "workers": alive.scalar_one(), "paused": list(paused.scalars())}

    return await _timed(ask, timeout_s)
