"""Showing when the last backup was made: a backup that stops being made is noticed only where its age is watched."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge

LAST_BACKUP = gauge(
    "tocsin_backup_last_success_timestamp_seconds",
    "Unix time of the last backup that was reported; 0 where none ever was.",
    (),
)
SIZE = gauge("tocsin_backup_size_bytes", "Size of the last backup that was reported.", ())
EVERY_S = 60.0


class BackupWatch:
    """A sweep of the relay's that reads the last report now and then.

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
        ticks = self._ticks()
        if ticks < self._next:
            return
        row = (
            await session.execute(text("select taken_at, size_bytes from tocsin_private.last_backup()"))
        ).one_or_none()
        self._next = ticks + self._every_s
        LAST_BACKUP.set(row[0].timestamp() if row is not None else 0)
        SIZE.set(row[1] if row is not None else 0)
