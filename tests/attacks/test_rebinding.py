"""D03 for databases: a name that leads elsewhere when it is looked up again, on real servers with real TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.embedded.valkey import EmbeddedValkey
from app.net.outbound import OutboundHttp
from app.remediation.actions import postgres_query, redis_info
from app.remediation.contract import ActionTarget, ReadContext, ReadFailed
from app.remediation.jobs.clients import GuardedReadHttp, GuardedResolver
from tests.net.peers import certificate
from tests.remediation.fronts import Fickle, tls_front, trap
from tests.remediation.targets import WatchedPostgres, outbound, target_of, watched_postgres

__all__ = ["outbound", "watched_postgres"]

NAME = "db.example.test"
# The only address that the guard lets pass here; beside it stands what is behind the firewall.
ALLOWED, FORBIDDEN = "127.0.0.1", "127.0.0.2"
Look = Callable[[str, int], Awaitable[BaseModel]]


def to_read(target: ActionTarget, http: OutboundHttp, *, timeout_s: float = 5.0) -> ReadContext:
    resolver = GuardedResolver([f"{ALLOWED}/32"], timeout_s=5.0)
    return ReadContext(target=target, timeout_s=timeout_s, http=GuardedReadHttp(http), resolver=resolver)


@pytest.fixture(params=["postgres", "redis"])
async def door(
    request: pytest.FixtureRequest,
    watched_postgres: WatchedPostgres,
    valkey: EmbeddedValkey,
    outbound: OutboundHttp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[int, Look]]:
    """A server behind TLS whose certificate is made out to ``NAME``, and the action that reads it by a name."""
    context, trusted = certificate(tmp_path, NAME)
    monkeypatch.setenv("PGSSLROOTCERT", str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))

    async def postgres(host: str, port: int) -> BaseModel:
        target = watched_postgres.target(host=host, port=port, tls="verify-full")
        return await postgres_query.run(to_read(target, outbound), postgres_query.Params(query="database_size"))

    async def redis(host: str, port: int) -> BaseModel:
        target = target_of("redis", secret=valkey.password, host=host, port=port, tls=True)
        return await redis_info.run(to_read(target, outbound), redis_info.Params())

    if request.param == "postgres":
        async with tls_front(watched_postgres.port, context, upgraded=True) as port:
            yield port, postgres
    else:
        async with tls_front(valkey.port, context) as port:
            yield port, redis


@pytest.mark.attack("D03")
async def test_a_database_is_dialled_where_its_name_was_judged(
    door: tuple[int, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, look = door
    name = Fickle(monkeypatch, NAME, ALLOWED, FORBIDDEN)
    async with trap(port, address=FORBIDDEN) as behind:
        await look(NAME, port)
    assert (name.asked, behind.connections) == (1, 0)


@pytest.mark.attack("D03")
async def test_the_certificate_is_still_verified_against_the_name(
    door: tuple[int, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, look = door
    Fickle(monkeypatch, "other.example.test", ALLOWED)
    with pytest.raises(ReadFailed, match="TLS: the server's certificate is not made out to this host name"):
        await look("other.example.test", port)
    with pytest.raises(ReadFailed, match="TLS: the server's certificate is not made out to this address"):
        await look(ALLOWED, port)


@pytest.mark.attack("D03")
async def test_a_certificate_of_an_unknown_authority_is_not_taken_for_the_name(
    door: tuple[int, Look], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, look = door
    _, another = certificate(tmp_path_factory.mktemp("another"), NAME)
    monkeypatch.setenv("PGSSLROOTCERT", str(another))
    monkeypatch.setenv("SSL_CERT_FILE", str(another))
    Fickle(monkeypatch, NAME, ALLOWED)
    with pytest.raises(ReadFailed, match="TLS: the server's certificate"):
        await look(NAME, port)


@asynccontextmanager
async def guide(elsewhere: str, asked: list[list[bytes]]) -> AsyncIterator[int]:
    """A Redis of its own kind: with what it answers to INFO it says that it moves elsewhere."""
    moving = f">4\r\n$6\r\nMOVING\r\n:1\r\n:0\r\n${len(elsewhere)}\r\n{elsewhere}\r\n".encode()
    answers = {
        b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
        b"CLIENT": b"+OK\r\n",
        b"INFO": moving + b"$11\r\nrole:master\r\n",
        b"LLEN": b":7\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    length = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(length + 2))[:-2])
                asked.append(words)
                writer.write(answers[words[0]])
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, ALLOWED, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.attack("D03")
async def test_a_redis_that_says_where_to_go_next_is_not_followed(outbound: OutboundHttp) -> None:
    """A server may push the address that its clients are to connect to from now on: nobody has judged that one."""
    asked: list[list[bytes]] = []
    async with trap(0, address=FORBIDDEN) as behind, guide(f"{FORBIDDEN}:{behind.port}", asked) as port:
        target = target_of("redis", host=ALLOWED, port=port)
        found = await redis_info.run(to_read(target, outbound), redis_info.Params(queue="q"))
    assert (found.queue_length, behind.connections) == (7, 0)
    assert [words for words in asked if b"MAINT_NOTIFICATIONS" in words] == []
