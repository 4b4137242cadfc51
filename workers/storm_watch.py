"""Asking how many alert storms go on, over all tenants; whose they are is their tenants' business."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge

ACTIVE = gauge("tocsin_storms_active", "Alert storms that go on now, of all tenants.", ())
EVERY_S = 5.0


class StormWatch:
    """A sweep of the relay's that counts storms now and then.

    Args:
        every_s: Seconds between two looks; the first is at the first call.
        ticks: Seconds on a clock that never goes back.
    """

    def __init__(self, *, every_s: float = EVERY_S, ticks: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._ticks = ticks
        self._next = 0.0

    async def __call__(self, session: SystemSession) -> None:
        """This will set the gauge."""
        now = self._ticks()
        if now < self._next:
            return
        found = (await session.execute(text("select tocsin_private.count_storms()"))).scalar_one()
        self._next = now + self._every_s
        ACTIVE.set(found)
