"""The process's Redis client."""

from __future__ import annotations

from redis.asyncio import Redis

from app.settings import Settings


def connect_redis(settings: Settings) -> Redis:
    """This will return a client; it connects when it is first used.

    No socket time-out: a subscription waits for as long as nothing happens. Callers bound their own calls.
    """
    return Redis.from_url(
        settings.redis.url.get_secret_value(),
        socket_timeout=None,
        socket_connect_timeout=settings.redis.timeout_s,
        health_check_interval=15,
    )
