"""``redis.info``: memory, clients and, for a named list, how many entries wait in it. Only INFO and LLEN are sent."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, Field
from redis.asyncio import Redis

from app.remediation.actions.redis_info.connections import client_of
from app.remediation.actions.redis_info.failures import failure_of
from app.remediation.contract import ActionSpec, ReadAction, ReadContext, ReadFailed, Unreachable
from app.remediation.rules.connections import RedisConnection
from app.remediation.rules.spec import Risk


class Params(BaseModel, extra="forbid"):
    queue: str | None = Field(None, min_length=1, max_length=500, description="A list whose length is wanted.")


class Output(BaseModel):
    """``queue_length`` is absent when no queue was named."""

    version: str
    role: str
    uptime_s: int
    used_memory_bytes: int
    max_memory_bytes: int
    connected_clients: int
    blocked_clients: int
    evicted_keys: int
    ops_per_s: int
    queue_length: int | None = None


async def run(ctx: ReadContext, params: Params) -> Output:
    client = await _client(ctx)
    try:
        async with asyncio.timeout(ctx.timeout_s):
            info: dict[str, Any] = await client.info()
            length = await client.llen(params.queue) if params.queue is not None else None
            return _output(info, length)
    # Any: what else than Redis answers there makes the client library fail in ways of its own.
    except Exception as error:
        raise ReadFailed(failure_of(error)) from error
    finally:
        await client.aclose()


def _output(info: dict[str, Any], length: int | None) -> Output:
    return Output(
        version=str(info.get("valkey_version") or info.get("redis_version", ""))[:100],
        role=str(info.get("role", ""))[:100],
        uptime_s=int(info.get("uptime_in_seconds", 0)),
        used_memory_bytes=int(info.get("used_memory", 0)),
        max_memory_bytes=int(info.get("maxmemory", 0)),
        connected_clients=int(info.get("connected_clients", 0)),
        blocked_clients=int(info.get("blocked_clients", 0)),
        evicted_keys=int(info.get("evicted_keys", 0)),
        ops_per_s=int(info.get("instantaneous_ops_per_sec", 0)),
        queue_length=length,
    )


async def _client(ctx: ReadContext) -> Redis:
    connection = ctx.target.connection
    if not isinstance(connection, RedisConnection):
        raise ReadFailed("the target is not a Redis server")
    try:
        address = await ctx.resolver.pin(connection.host, connection.port)
    except Unreachable as error:
        raise ReadFailed(str(error)) from error
    password = ctx.target.secret.get_secret_value() if ctx.target.secret else None
    return client_of(connection, address, password=password, timeout_s=ctx.timeout_s)


ACTION = ReadAction(
    spec=ActionSpec(
        slug="redis.info",
        about="Reads memory, clients and the length of a queue.",
        params=Params,
        output=Output,
        risk=Risk.READ,
        target_kind="redis",
    ),
    run=run,
)
