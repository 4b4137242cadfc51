"""When to try again: a pure decision with units."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter, bounded in count and in delay.

    Source: full jitter as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    max_attempts: int = 8
    base_s: float = 1.0
    factor: float = 3.0
    cap_s: float = 900.0

    def delay(self, *, attempt: int, rng: random.Random) -> timedelta:
        """This will return the wait after failed attempt number ``attempt`` (the first is 1).

        Half of the wait is fixed and half is drawn, so that a herd spreads out and no retry is immediate.
        """
        ceiling = min(self.cap_s, self.base_s * self.factor ** (attempt - 1))
        return timedelta(seconds=ceiling / 2 + rng.random() * ceiling / 2)

    def exhausted(self, *, attempt: int) -> bool:
        return attempt >= self.max_attempts
