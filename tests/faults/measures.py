"""The samples of what has to stay bounded (I8), taken from a running deployment."""

from __future__ import annotations

import contextlib
from dataclasses import fields

import httpx
from redis.asyncio import Redis

from tests.faults.evidence import Samples
from tests.faults.rig import DATABASE, PROCESSES, Rig


async def take_samples(rig: Rig, *, disk_before_mb: float) -> Samples:
    """This will measure once.

    Args:
        rig: What is measured.
        disk_before_mb: The database's size before the wave or scene.

    Raises:
        OSError, asyncpg.PostgresError, RedisError: The database or the broker is away.
    """
    redis = Redis.from_url(rig.valkey.url, socket_timeout=1)
    try:
        used = (await redis.info("memory"))["used_memory"] / 2**20
    finally:
        await redis.aclose()
    return Samples(
        connections=len(await rig.backends("tocsin-%")),
        rss_mb=rig.stack.rss_mb(),
        valkey_mb=used,
        metric_series=await _series(rig),
        disk_mb=await disk_mb(rig) - disk_before_mb,
    )


async def disk_mb(rig: Rig) -> float:
    """This will return what the database takes on disk."""
    async with rig.superuser() as connection:
        return float(await connection.fetchval("select pg_database_size($1)", DATABASE)) / 2**20


def largest(one: Samples, other: Samples) -> Samples:
    """This will keep the larger one of each."""
    names = [field.name for field in fields(Samples)]
    return Samples(**{name: max(getattr(one, name), getattr(other, name)) for name in names})


async def _series(rig: Rig) -> int:
    """The time series that one process exports, the largest number of all."""
    most = 0
    async with httpx.AsyncClient(timeout=1) as client:
        for name in PROCESSES:
            for port in rig.stack.metrics_ports(name):
                with contextlib.suppress(httpx.HTTPError):
                    said = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                    most = max(most, sum(1 for line in said.splitlines() if line and not line.startswith("#")))
    return most
