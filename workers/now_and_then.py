"""Sweeps of the relay's that have no need of each of its rounds."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from app.db.system import SystemSession


class NowAndThen(ABC):
    """A sweep that looks at once, and then every so many seconds; a look that fails is tried again in the next round.

    Args:
        ticks: Seconds on a clock that never goes back.

    Attributes:
        every_s: Seconds between two looks.
    """

    every_s: ClassVar[float]

    def __init__(self, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._next = 0.0

    async def __call__(self, session: SystemSession) -> None:
        """This will look if it is time to."""
        ticks = self._ticks()
        if ticks < self._next:
            return
        await self.look(session)
        self._next = ticks + self.every_s

    @abstractmethod
    async def look(self, session: SystemSession) -> None:
        """This will look once."""
