"""What a tenant and a source may send: limits as values, and the buckets that hold them. No I/O; ``now`` is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self


class Limited(StrEnum):
    """Why a request was turned away although it may come from whom it says; shown to its tenant."""

    RATE = "rate_limited"
    BACKLOG = "backlog_full"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may come in. None, and 0 in the settings, is without a limit.

    Attributes:
        deliveries_per_s: Verified requests a second, over all API processes.
        bytes_per_s: Bytes of their bodies a second.
        alerts_per_min: Alerts of the last sixty seconds, counted as they are worked through.
        backlog: Deliveries that wait to be worked through; of the whole tenant only.
    """

    deliveries_per_s: float | None = None
    bytes_per_s: float | None = None
    alerts_per_min: float | None = None
    backlog: int | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any], *, otherwise: Limits | None = None) -> Self:
        """This will read what is stored; a limit that it does not name is that of ``otherwise``."""
        fallback = otherwise or Limits()
        found = {one.name: stored.get(one.name, getattr(fallback, one.name)) for one in fields(cls)}
        return cls(**{name: value or None for name, value in found.items()})

    def is_within(self, other: Limits) -> str | None:
        """This will return the name of the first limit that is looser than the other's, or None."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine is not None and theirs is not None and mine > theirs:
                return one.name
        return None


class Bucket:
    """Fills at ``rate`` a second up to ``burst``. Taking may leave a debt, so that a large body is let in whole and paid after.

    Args:
        rate: A second; None lets everything through.
        burst_s: Seconds of the rate that may come at once.
        now: On a clock that never goes back.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float | None, *, burst_s: float, now: float) -> None:
        self._at = now
        self._set(rate, burst_s)
        self._level = self._burst

    def _set(self, rate: float | None, burst_s: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate * burst_s) if rate is not None else 0.0

    def has_room(self, now: float) -> bool:
        """This will say whether one more may be taken."""
        if self._rate is None:
            return True
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level > 0

    def take(self, amount: float) -> None:
        """This will take ``amount``, more than there is if need be."""
        if self._rate is not None:
            self._level -= amount

    def resize(self, rate: float | None, *, burst_s: float, now: float) -> None:
        """This will change the rate; what was used up stays used up."""
        if rate == self._rate:
            return
        free = self._level / self._burst if self._rate is not None and self.has_room(now) else float(self._rate is None)
        self._at = now
        self._set(rate, burst_s)
        self._level = self._burst * free


def share_of(limits: Limits, processes: int) -> Limits:
    """This will return what one of several processes may let in: rates are divided, counts of what is stored are not."""
    parts = max(1, processes)
    return Limits(
        deliveries_per_s=limits.deliveries_per_s / parts if limits.deliveries_per_s is not None else None,
        bytes_per_s=limits.bytes_per_s / parts if limits.bytes_per_s is not None else None,
        alerts_per_min=limits.alerts_per_min,
        backlog=limits.backlog,
    )
