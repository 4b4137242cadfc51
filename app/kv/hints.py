"""A nudge through Redis that there may be work. Lost hints cost a poll interval, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# At most one hint in this time per process: a relay that is awake needs no second one.
MIN_GAP_S = 0.02
RECONNECT_S = 2.0


class Hints:
    """Sends and receives nudges on one channel of one deployment."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._channel = f"{prefix}:hints:jobs"
        self._last = 0.0
        self._sending: asyncio.Task[None] | None = None

    def nudge(self) -> None:
        """This will send a hint in the background; it never blocks and never raises."""
        now = time.monotonic()
        if now - self._last < MIN_GAP_S or (self._sending is not None and not self._sending.done()):
            return
        self._last = now
        self._sending = asyncio.get_running_loop().create_task(self._send())

    async def listen(self, wake: Callable[[], None]) -> None:
        """This will call ``wake`` for each hint until cancelled, reconnecting for as long as it takes."""
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    async for message in subscription.listen():
                        if message["type"] == "message":
                            wake()
            except (RedisError, OSError) as error:
                log.info("hints.reconnecting", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _send(self) -> None:
        try:
            await self._redis.publish(self._channel, b"1")
        except (RedisError, OSError) as error:
            log.debug("hints.not_sent", error=type(error).__name__)
