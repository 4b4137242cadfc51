"""Sharing one event loop: long work lets others have it now and then, and a backlog's waits while somebody has the way.

A batch of a backlog computes for tens of milliseconds. Whoever has a single alert needs the loop a dozen times between
its statements, and would wait for a stretch of the batch each time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

AT_A_STRETCH_S = 0.002
HOLDS_S = 0.1
"""Seconds for which work has the way. What takes longer mostly waits for something other than the loop, and it may be for
a lock that the one who gives way holds."""
GIVES_S = 0.15
"""Seconds that one piece of a backlog's work waits at the most, all its waits together: it may hold locks meanwhile."""


class RightOfWay:
    """Says whether somebody is at work in this process whom a backlog should not keep waiting."""

    def __init__(self) -> None:
        self._holders = 0
        self._free = asyncio.Event()
        self._free.set()

    @property
    def is_free(self) -> bool:
        """Whether nobody has the way."""
        return self._holders == 0

    def take(self) -> Hold:
        """This will have backlogs wait until the hold ends, which it does by itself after ``HOLDS_S``."""
        return Hold(self)

    async def wait_free(self, *, most_s: float) -> float:
        """This will wait until nobody has the way, no longer than ``most_s``, and return the seconds that it took."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(most_s):
                await self._free.wait()
        except TimeoutError:
            pass
        return time.perf_counter() - began

    def count(self, change: int) -> None:
        """This will note that a hold begins or ends."""
        self._holders += change
        if self._holders:
            self._free.clear()
        else:
            self._free.set()


class Hold:
    """One piece of work that has the way. It may end more than once."""

    def __init__(self, way: RightOfWay) -> None:
        self.way = way
        self.is_over = False
        way.count(1)
        self._timer = asyncio.get_running_loop().call_later(HOLDS_S, self.end)

    def end(self) -> None:
        """This will let backlogs go on, and have the work itself wait for others from now on."""
        if not self.is_over:
            self.is_over = True
            self.way.count(-1)
            self._timer.cancel()


class Breath:
    """Counts how long a piece of work has held the loop, and how long it has waited for others.

    Args:
        stretch_s: Seconds that it may compute at a stretch.
        hold: The work's own. Once that is over it waits for those who have the way, ``GIVES_S`` for each piece of it: it
            must come to an end although there is always somebody. Without one it only lets others have a turn.

    Attributes:
        waited_s: Seconds that it has waited for others so far.
    """

    def __init__(self, stretch_s: float = AT_A_STRETCH_S, *, hold: Hold | None = None) -> None:
        self._stretch_s = stretch_s
        self._hold = hold
        self._since = time.perf_counter()
        self._left_s = GIVES_S
        self.waited_s = 0.0

    def renew(self) -> None:
        """This will begin another piece of work, which may wait as long again."""
        self._left_s = GIVES_S

    async def take(self) -> None:
        """This will let everything else that is ready run, if it is time to, or wait for who has the way."""
        if self._hold is not None and self._hold.is_over and not self._hold.way.is_free:
            await self._give_way(self._hold.way)
        elif time.perf_counter() - self._since >= self._stretch_s:
            await asyncio.sleep(0)
        else:
            return
        self._since = time.perf_counter()

    async def _give_way(self, way: RightOfWay) -> None:
        if self._left_s <= 0:
            await asyncio.sleep(0)
            return
        waited_s = await way.wait_free(most_s=self._left_s)
        self._left_s -= waited_s
        self.waited_s += waited_s


_BREATH: ContextVar[Breath] = ContextVar("tocsin_breath")


@contextmanager
def breathing(breath: Breath) -> Iterator[Breath]:
    """This will have the block's work take its breath as ``breath`` says."""
    token = _BREATH.set(breath)
    try:
        yield breath
    finally:
        _BREATH.reset(token)


async def breathe() -> None:
    """This will take breath in the middle of long work; cheap enough for every element of a batch."""
    await _current().take()


async def breathe_anew() -> None:
    """This will take breath before another piece of long work, while nothing is locked for it."""
    breath = _current()
    breath.renew()
    await breath.take()
    breath.renew()


def _current() -> Breath:
    breath = _BREATH.get(None)
    if breath is None:
        breath = Breath()
        _BREATH.set(breath)
    return breath
