"""Letting others have the event loop in the middle of long work of one's own."""

from __future__ import annotations

import asyncio
import time

AT_A_STRETCH_S = 0.003


class Breath:
    """Counts how long the loop has been held.

    A batch of a backlog computes for tens of milliseconds. Whoever has a single alert needs the loop a dozen times
    between its statements, and would wait for such a stretch each time.
    """

    def __init__(self, stretch_s: float = AT_A_STRETCH_S) -> None:
        self._stretch_s = stretch_s
        self._since = time.perf_counter()

    async def take(self) -> None:
        """This will let everything else that is ready run, if it is time to."""
        if time.perf_counter() - self._since >= self._stretch_s:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
