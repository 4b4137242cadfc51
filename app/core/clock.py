"""The wall clock as a value that is passed in, so that time is data and tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where ``now`` comes from. Only the outermost frames hold one; rules take ``now``."""

    def now(self) -> datetime:
        """This will return the current time, aware and in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class AnchoredClock:
    """Another machine's time, carried on by our monotonic clock: no jump of our own clock moves it (F29).

    Args:
        at: What the other clock said.
        seen_at: ``time.monotonic()`` when it said so.
    """

    def __init__(self, at: datetime, *, seen_at: float) -> None:
        self._at = at.astimezone(UTC)
        self._seen_at = seen_at

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._seen_at)


class FakeClock:
    """A clock that moves only when told to; the tests' and the simulators' clock."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("FakeClock needs an aware datetime")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """This will move the clock; a negative ``by`` moves it back, as a bad NTP step does."""
        self._now += by
