"""Past-tense facts that a lower domain states and an upper domain reacts to, in the same transaction.

A lower domain may not import an upper one. It emits a frozen fact; the upper domain subscribes and, as a
rule, enqueues a job. A subscriber that raises fails the transaction: a fact and its consequences are one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

E = TypeVar("E")
Subscriber = Callable[[Any, Any], Awaitable[None]]

_subscribers: dict[type[object], list[Subscriber]] = defaultdict(list)


def subscribe(
    event_type: type[E],
) -> Callable[[Callable[[Any, E], Awaitable[None]]], Callable[[Any, E], Awaitable[None]]]:
    """This will call the decorated ``(session, event)`` function for each emitted ``event_type``."""

    def register(function: Callable[[Any, E], Awaitable[None]]) -> Callable[[Any, E], Awaitable[None]]:
        if function not in _subscribers[event_type]:
            _subscribers[event_type].append(function)
        return function

    return register


async def emit(session: object, event: object) -> None:
    """This will run every subscriber of the event's type on the caller's session, in order."""
    for subscriber in _subscribers[type(event)]:
        await subscriber(session, event)
