"""How many processes of a kind are alive, by signs of life in Redis. Without Redis nobody knows, and the caller decides."""

from __future__ import annotations

import secrets
from typing import Self

from redis.asyncio import Redis

from app.core.resources import Resources
from app.settings import Settings

LIFE_S = 10

# The server's clock judges all of them: processes' own clocks differ.
_SIGN = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - tonumber(ARGV[2])))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return redis.call('ZCARD', KEYS[1])
"""


class Peers:
    """One process's sign of life among its kind."""

    def __init__(self, redis: Redis, *, key: str) -> None:
        self._redis = redis
        self._key = key
        self._me = secrets.token_hex(8)

    @classmethod
    def of(cls, resources: Resources, *, kind: str = "intake") -> Self:
        """This will count the processes that take deliveries in by one way: ``intake`` is HTTP, ``mail`` the listeners."""
        return cls(resources.get(Redis), key=f"{resources.get(Settings).redis.key_prefix}:peers:{kind}")

    async def count(self) -> int:
        """This will leave a sign of life and return how many there are, this process included.

        Raises:
            RedisError: Redis is away.
        """
        found: int = await self._redis.eval(_SIGN, 1, self._key, self._me, LIFE_S)
        return found

    async def leave(self) -> None:
        """This will take the sign of life back, so that the others need not wait until it has faded.

        Raises:
            RedisError: Redis is away.
        """
        await self._redis.zrem(self._key, self._me)
