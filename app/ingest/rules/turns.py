"""Whose turn it is, where many want the same few slots: newcomers once ahead of all, then round and round, equally much.

A tenant that sends now and then never stands behind one that always has something waiting; one that always has gets the
same as its equals, by what it costs and not by how often it asks.

Source: fair queueing with deficits and a list of new flows, after RFC 8290 (FQ-CoDel, January 2018), sections 3.1 and 4.1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Flow:
    """Somebody who waits; ``credit`` is what an earlier turn left, mostly a debt."""

    credit: float


class Turns(Generic[K]):
    """Those that wait for a turn.

    Args:
        quantum: What each may cost in a turn.
        settle_s: Seconds after its last turn for which somebody who comes again is no newcomer: or else who asks for little
            at a time, but at once again, would always be ahead.
    """

    def __init__(self, *, quantum: float, settle_s: float) -> None:
        self._quantum = quantum
        self._settle_s = settle_s
        self._new: OrderedDict[K, _Flow] = OrderedDict()
        self._old: OrderedDict[K, _Flow] = OrderedDict()
        self._served: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    @property
    def newcomers(self) -> int:
        return len(self._new)

    def join(self, key: K, now: float) -> None:
        """This will let somebody who does not wait yet wait for a turn."""
        self._forget(now)
        served = self._served.pop(key, None)
        if served is None:
            self._new[key] = _Flow(0.0)
        else:
            # What it overdrew it still owes; what it left it does not keep.
            self._old[key] = _Flow(min(served[1], 0.0))

    def take(self, *, only_newcomers: bool = False) -> tuple[K, float] | None:
        """This will return who is next and what it may cost, or None; it waits no longer, until it joins again."""
        if self._new:
            key, flow = self._new.popitem(last=False)
            return key, self._quantum
        if only_newcomers or not self._old:
            return None
        while True:
            key, flow = self._old.popitem(last=False)
            flow.credit += self._quantum
            if flow.credit > 0:
                return key, flow.credit
            self._old[key] = flow

    def served(self, key: K, *, credit: float, waits: bool, now: float) -> None:
        """This will say what is left of the credit after its turn, and whether it waits for another."""
        if waits:
            self._old[key] = _Flow(min(credit, self._quantum))
        else:
            self._served[key] = (now, credit)

    def _forget(self, now: float) -> None:
        while self._served:
            key, (at, _) = next(iter(self._served.items()))
            if at > now - self._settle_s:
                return
            del self._served[key]
