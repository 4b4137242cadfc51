"""``redis.info`` on a real Valkey: it sees what is there, needs no right to write, and silence is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.core.ids import new_id
from app.embedded.valkey import EmbeddedValkey
from app.net.outbound import OutboundHttp
from app.remediation.actions.redis_info import Params, run
from app.remediation.contract import ActionTarget, ReadFailed
from tests.fixtures.wait import ends, wait_until
from tests.net.peers import certificate
from tests.remediation.fronts import tls_front
from tests.remediation.targets import silent_server, target_of, to_read


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def key() -> str:
    return f"waiting-{new_id().hex}"


def target(valkey: EmbeddedValkey, **differs: object) -> ActionTarget:
    values = {"secret": valkey.password, "host": "127.0.0.1", "port": valkey.port} | differs
    return target_of("redis", **values)  # type: ignore[arg-type]


async def test_it_reads_the_server_and_a_queues_length(
    valkey: EmbeddedValkey, redis: Redis, outbound: OutboundHttp, key: str
) -> None:
    await redis.rpush(key, *range(7))
    found = await run(to_read(target(valkey), outbound), Params(queue=key))
    info = await redis.info()
    assert found.queue_length == 7
    assert (found.version, found.role) == (info["valkey_version"], "master")
    assert found.used_memory_bytes > 100_000
    assert found.connected_clients >= 2
    assert await redis.lrange(key, 0, -1) == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]


async def test_a_server_that_speaks_tls_is_known_by_its_name(
    valkey: EmbeddedValkey, outbound: OutboundHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with tls_front(valkey.port, context) as port:
        found = await run(to_read(target(valkey, host="localhost", port=port, tls=True), outbound), Params())
        assert found.role == "master"
        with pytest.raises(ReadFailed, match="TLS: the server's certificate is not made out to this address"):
            await run(to_read(target(valkey, host="127.0.0.1", port=port, tls=True), outbound), Params())


async def test_an_empty_queue_has_no_length_and_an_unnamed_one_none(
    valkey: EmbeddedValkey, outbound: OutboundHttp, key: str
) -> None:
    assert (await run(to_read(target(valkey), outbound), Params(queue=key))).queue_length == 0
    assert (await run(to_read(target(valkey), outbound), Params())).queue_length is None


async def test_a_consumer_that_waits_for_work_is_seen(
    valkey: EmbeddedValkey, redis: Redis, outbound: OutboundHttp, key: str
) -> None:
    waiting = asyncio.ensure_future(redis.blpop([key], timeout=0))

    async def seen() -> bool:
        return (await run(to_read(target(valkey), outbound), Params())).blocked_clients >= 1

    assert await wait_until(seen)
    async with Redis.from_url(valkey.url) as other:
        await other.rpush(key, "work")
    assert await waiting == (key.encode(), b"work")


async def test_it_needs_no_right_but_to_look(
    valkey: EmbeddedValkey, redis: Redis, outbound: OutboundHttp, key: str
) -> None:
    reader, password = f"reader-{new_id().hex}", new_id().hex
    await redis.acl_setuser(reader, enabled=True, passwords=[f"+{password}"], keys=["*"], commands=["+info", "+llen"])
    await redis.rpush(key, "x")
    found = await run(to_read(target(valkey, user=reader, secret=password), outbound), Params(queue=key))
    assert found.queue_length == 1
    wanted = {entry["object"] for entry in await redis.acl_log() if entry["username"] == reader}
    # The client library introduces itself and does not mind being refused.
    assert wanted <= {"client|setinfo", "client|setname"}


async def test_a_key_that_is_no_list_is_no_answer(
    valkey: EmbeddedValkey, redis: Redis, outbound: OutboundHttp, key: str
) -> None:
    await redis.set(key, "text")
    with pytest.raises(ReadFailed, match="WRONGTYPE"):
        await run(to_read(target(valkey), outbound), Params(queue=key))


async def test_a_wrong_password_is_no_answer_and_is_not_repeated(
    valkey: EmbeddedValkey, outbound: OutboundHttp
) -> None:
    with pytest.raises(ReadFailed) as failed:
        await run(to_read(target(valkey, secret="guessed"), outbound), Params())
    assert str(failed.value) == "the user name or the password is wrong or missing"


async def test_a_server_that_is_not_there_or_silent_is_no_answer(
    valkey: EmbeddedValkey, outbound: OutboundHttp
) -> None:
    async def fails_in_time(port: int, words: str) -> None:
        async with ends():
            with pytest.raises(ReadFailed, match=words):
                await run(to_read(target(valkey, port=port), outbound, timeout_s=0.5), Params())

    await fails_in_time(1, "the connection was refused")
    async with silent_server() as port:
        await fails_in_time(port, "timed out")
