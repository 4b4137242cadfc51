"""The wall clock as a value that is passed in, so that time is data and tests own it."""

from __future__ import annotations

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
