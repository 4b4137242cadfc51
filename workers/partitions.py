"""Keeping the partitions of deliveries: made ahead of time, dropped when their time is over.

Every relay looks once a minute; PostgreSQL lets one of them act. Days are in hand, so a look that finds the table busy
leaves the work to the next one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from app.core.clock import Clock
from app.db.system import SystemSession, server_time
from app.observability.metrics import gauge
from workers.now_and_then import NowAndThen

log = structlog.get_logger(__name__)

PARTITIONS = gauge("tocsin_deliveries_partitions", "Partitions of the deliveries table, the default one aside.", ())
AHEAD = gauge(
    "tocsin_deliveries_partitions_ahead_seconds",
    "Seconds until the last partition that was made ahead ends; deliveries after it become strays.",
    (),
)
OVERDUE = gauge(
    "tocsin_deliveries_partitions_overdue",
    "Partitions whose time is over, but which hold deliveries that still wait for their tenant.",
    (),
)
STRAYS = gauge(
    "tocsin_deliveries_strays",
    "Deliveries in the default partition, counted up to 10,000: a clock is wrong, or no partition was made ahead.",
    (),
)
EVERY_S = 60.0
AHEAD_DAYS = 7
MOST_PARTITIONS = 32
"""More would be felt by the intake: each of its looks for waiting deliveries opens every partition."""

_KEEP = text(
    "select partitions, ahead_s, overdue, strays"
    " from tocsin_private.keep_delivery_partitions(:now, :keep, :width_days, :ahead_days)"
)


@dataclass(frozen=True)
class PartitionState:
    """What the keeper left behind."""

    partitions: int
    ahead_s: float
    overdue: int
    strays: int


async def keep_partitions(session: SystemSession, *, now: datetime, retention_days: int) -> PartitionState:
    """This will make the partitions of the days to come and drop at the most four whose time is over."""
    width_days = math.ceil(retention_days / MOST_PARTITIONS)
    row = (
        await session.execute(
            _KEEP,
            {
                "now": now,
                "keep": timedelta(days=retention_days),
                "width_days": width_days,
                "ahead_days": max(AHEAD_DAYS, 2 * width_days),
            },
        )
    ).one()
    return PartitionState(*row)


class PartitionKeeper(NowAndThen):
    """A sweep of the relay's that keeps the partitions now and then.

    Args:
        clock: What "today" means; the server's time where it is left out.
        retention_days: Days for which deliveries are kept.
        ticks: Seconds on a clock that never goes back.
    """

    every_s = EVERY_S

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        retention_days: int,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ticks=ticks)
        self._clock = clock
        self._retention_days = retention_days

    async def look(self, session: SystemSession) -> None:
        """This will set the gauges, and warn of strays."""
        now = self._clock.now() if self._clock is not None else await server_time(session)
        state = await keep_partitions(session, now=now, retention_days=self._retention_days)
        PARTITIONS.set(state.partitions)
        AHEAD.set(state.ahead_s)
        OVERDUE.set(state.overdue)
        STRAYS.set(state.strays)
        if state.strays:
            log.warning("deliveries.strays", strays=state.strays)
