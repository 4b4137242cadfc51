"""What the process depends on, asked with a bound on the time; shown without names of tenants or servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import TocsinError
from app.db.engine import Database
from app.db.system import system_session
from app.observability.metrics import gauge

STATS_CAP = 10_000
# A due job that waits longer than this, in a queue that is not paused, shows that too few workers serve it.
LATE_S = 60.0
# A fifth of what signatures tolerate: long before a fresh one is refused.
MAX_SKEW_S = 60.0
CLOCK_SKEW = gauge("tocsin_clock_skew_seconds", "Seconds that this process's clock is ahead of PostgreSQL's.", ())


class CheckStatus(StrEnum):
    """How a part is; ``degraded`` works, but somebody should look."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True)
class Check:
    """How one part is, how long its answer took, and figures where there are any."""

    status: CheckStatus
    duration_ms: float
    details: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status is not CheckStatus.FAILING


Asked = tuple[CheckStatus, dict[str, Any]]


def worst_of(checks: Iterable[Check]) -> CheckStatus:
    """This will return the worst of several states."""
    order = list(CheckStatus)
    return max((check.status for check in checks), key=order.index, default=CheckStatus.OK)


async def _timed(ask: Callable[[], Awaitable[Asked]], timeout_s: float) -> Check:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            status, details = await ask()
    except (TocsinError, SQLAlchemyError, RedisError, OSError, TimeoutError) as error:
        # The class says enough for a person and nothing about hosts or credentials.
        status, details = CheckStatus.FAILING, {"error": type(error).__name__}
    return Check(status, round((time.perf_counter() - started) * 1000, 2), details)


async def check_database(database: Database, *, timeout_s: float) -> Check:
    """This will have PostgreSQL answer a query, and report this process's pool and how far its clock is off.

    A process whose clock differs from the server's by more than ``MAX_SKEW_S`` refuses fresh signatures that its
    neighbours take, so it must leave the rotation (F28).
    """

    async def ask() -> Asked:
        async with system_session(database, reason="health.database") as session:
            asked = time.time()
            there = (await session.execute(text("select extract(epoch from clock_timestamp())::float8"))).scalar_one()
            # The server looked at its clock somewhere between the question and the answer.
            skew_s = (asked + time.time()) / 2 - there
        CLOCK_SKEW.set(skew_s)
        pool = database.app.pool
        return (CheckStatus.OK if abs(skew_s) <= MAX_SKEW_S else CheckStatus.FAILING), {
            "clock_skew_s": round(skew_s, 3),
            "pool_in_use": getattr(pool, "checkedout", lambda: 0)(),
            "pool_size": getattr(pool, "size", lambda: 0)(),
        }

    return await _timed(ask, timeout_s)


async def check_redis(redis: Redis, *, timeout_s: float) -> Check:
    """This will ping Redis."""

    async def ask() -> Asked:
        await redis.ping()
        return CheckStatus.OK, {}

    return await _timed(ask, timeout_s)


async def check_queues(database: Database, *, timeout_s: float, stale_worker_s: float) -> Check:
    """This will report each queue's due, running and dead jobs and how many workers poll; counts stop at a cap."""

    async def ask() -> Asked:
        async with system_session(database, reason="health.queues") as session:
            stats = await session.execute(text("select * from tocsin_private.queue_stats(:cap)"), {"cap": STATS_CAP})
            queues = {row["queue"]: {name: row[name] for name in row if name != "queue"} for row in stats.mappings()}
            alive = await session.execute(
                text(
                    "select count(*) from tocsin_private.list_workers() w"
                    " where w.last_poll_at > now() - make_interval(secs => :stale)"
                ),
                {"stale": stale_worker_s},
            )
            paused = await session.execute(text("select queue from tocsin_private.list_queue_pauses()"))
            facts = {"queues": queues, "workers": alive.scalar_one(), "paused": list(paused.scalars())}
        problems = queue_problems(**facts)
        return (CheckStatus.DEGRADED if problems else CheckStatus.OK), {**facts, "problems": problems}

    return await _timed(ask, timeout_s)


def queue_problems(*, queues: dict[str, dict[str, Any]], workers: int, paused: list[str]) -> list[str]:
    """This will name what keeps jobs from moving (I5)."""
    late = [name for name, stats in queues.items() if name not in paused and stats["oldest_due_s"] > LATE_S]
    return [*(["no worker polls"] if workers == 0 else []), *(f"jobs of {name} wait too long" for name in late)]
