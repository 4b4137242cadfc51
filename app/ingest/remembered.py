"""What was looked up lately: what is there and what is not, for seconds, in this process only and in bounded number.

While the database does not answer, what was known is used a little longer. Strangers can have us look up whatever they
make up: so their look-ups have a line and slots of their own, and what is known never waits behind them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import Unavailable
from app.settings.ingest import IngestSettings

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

STRANGERS_MAX = 1024
"""Look-ups of what is not known that wait at once; beyond, whoever asks for more is to come again."""


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    fresh_until: float
    usable_until: float


class Remembered(Generic[K, V]):
    """One process's memory of one kind of look-up.

    Args:
        look: Asks the database; None where there is nothing.
        settings: Times and sizes.
        ticks: Seconds on a clock that never goes back.
    """

    def __init__(
        self, look: Callable[[K], Awaitable[V | None]], *, settings: IngestSettings, ticks: Callable[[], float]
    ) -> None:
        self._look = look
        self._settings = settings
        self._ticks = ticks
        self._known: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._unknown: OrderedDict[K, float] = OrderedDict()
        self._looking: dict[K, asyncio.Task[V | None]] = {}
        self._strangers = 0
        self._slots = asyncio.Semaphore(settings.lookups_at_once)
        self._strangers_slots = asyncio.Semaphore(max(1, settings.lookups_at_once // 2))

    def peek(self, key: K) -> V | None:
        """This will return what is known and fresh, without waiting; the hot path."""
        entry = self._known.get(key)
        return entry.value if entry is not None and entry.fresh_until > self._ticks() else None

    async def find(self, key: K) -> V | None:
        """This will return what the key stands for, or None where there is nothing.

        Raises:
            Unavailable: It is not in memory, and the database does not answer or too much waits for its answer.
        """
        found = self.peek(key)
        if found is not None or self._unknown.get(key, 0.0) > self._ticks():
            return found
        try:
            # Shielded: one sender who hangs up must not fail the others that wait for the same.
            return await asyncio.wait_for(asyncio.shield(self._task(key)), self._settings.commit_wait_s)
        except (TimeoutError, Unavailable, SQLAlchemyError, OSError) as error:
            entry = self._known.get(key)
            if entry is not None and entry.usable_until > self._ticks():
                return entry.value
            raise Unavailable("it could not be looked up", retry_after_s=1) from error

    def _task(self, key: K) -> asyncio.Task[V | None]:
        """The look-up of the key: the one under way, or a new one."""
        found = self._looking.get(key)
        if found is not None:
            return found
        is_stranger = key not in self._known
        if is_stranger and self._strangers >= STRANGERS_MAX:
            raise Unavailable("too many look-ups wait", retry_after_s=1)
        self._strangers += is_stranger
        slots = self._strangers_slots if is_stranger else self._slots
        task = self._looking[key] = asyncio.get_running_loop().create_task(self._ask(key, slots))

        def looked(done: asyncio.Task[V | None]) -> None:
            self._strangers -= is_stranger
            del self._looking[key]
            if not done.cancelled():
                done.exception()  # retrieved, also where everybody who waited has gone

        task.add_done_callback(looked)
        return task

    async def _ask(self, key: K, slots: asyncio.Semaphore) -> V | None:
        async with slots:
            found = await self._look(key)
        now = self._ticks()
        if found is None:
            self._known.pop(key, None)
            _keep(self._unknown, key, now + self._settings.unknown_cache_ttl_s, self._settings.unknown_cache_size)
        else:
            fresh_until = now + self._settings.source_cache_ttl_s
            entry = _Entry(found, fresh_until, fresh_until + self._settings.source_cache_stale_s)
            _keep(self._known, key, entry, self._settings.source_cache_size)
        return found


def _keep(memory: OrderedDict[K, T], key: K, value: T, limit: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > limit:
        memory.popitem(last=False)
