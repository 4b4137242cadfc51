"""Real things for actions to look at and to change, and what an action is given to reach them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from app.core.ids import new_id
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port
from app.net.outbound import OutboundHttp
from app.remediation.contract import ActionTarget, ReadContext, WriteContext
from app.remediation.jobs.clients import GuardedReadHttp, GuardedResolver, GuardedWriteHttp
from app.remediation.rules.connections import TARGET_KINDS
from tests.fixtures.secrets import test_security

# Private, and in none of the tests' allow-lists: the guard has to refuse it before anything is sent.
FORBIDDEN_ADDRESS = "10.255.255.1"
WATCHER = "watcher"
WATCHER_PASSWORD = "a watcher's own"


def target_of(kind: str, *, secret: str | None = None, **connection: Any) -> ActionTarget:
    """This will return a target as an action gets it, with its credential in the clear."""
    return ActionTarget(
        id=new_id(),
        name=f"a {kind}",
        kind=kind,
        environment="test",
        connection=TARGET_KINDS[kind].model_validate(connection),
        secret=SecretStr(secret) if secret is not None else None,
    )


def to_read(target: ActionTarget, http: OutboundHttp, *, timeout_s: float = 5.0) -> ReadContext:
    """This will return what a read action gets, with the clients that the engine gives it."""
    resolver = GuardedResolver(test_security().egress_allow, timeout_s=1.0)
    return ReadContext(target=target, timeout_s=timeout_s, http=GuardedReadHttp(http), resolver=resolver)


def to_write(target: ActionTarget, http: OutboundHttp, *, timeout_s: float = 5.0) -> WriteContext:
    """The same for a write action."""
    return WriteContext(target=target, timeout_s=timeout_s, http=GuardedWriteHttp(http), effect_key="e" * 64)


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """This will give the port of a server that takes connections and what is sent, and never says a word."""
    done = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()


class WatchedPostgres:
    """A PostgreSQL with a password on a TCP port, and a role ``watcher`` that may write as far as its rights go."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    @property
    def port(self) -> int:
        return self._server.port

    def connection(self, **differs: Any) -> dict[str, Any]:
        """What a target of the inventory needs to reach it."""
        values = {"host": "127.0.0.1", "port": self.port, "database": "postgres", "user": WATCHER, "tls": "disable"}
        return values | differs

    def target(self, *, secret: str = WATCHER_PASSWORD, **differs: Any) -> ActionTarget:
        return target_of("postgres", secret=secret, **self.connection(**differs))

    @asynccontextmanager
    async def superuser(self, application: str = "tests") -> AsyncIterator[asyncpg.Connection[Any]]:
        dsn = self._server.dsn_for("postgres", database="postgres")
        connection = await asyncpg.connect(dsn, server_settings={"application_name": application})
        try:
            yield connection
        finally:
            await connection.close()

    async def prepare(self) -> None:
        async with self.superuser() as connection:
            await connection.execute(
                f"create role {WATCHER} login password '{WATCHER_PASSWORD.replace(chr(39), chr(39) * 2)}';"
                f"grant pg_monitor to {WATCHER}; create table kept (id int); insert into kept values (1);"
                f"create sequence counter; grant all on kept, counter to {WATCHER}"
            )


@pytest.fixture(scope="session")
def watched_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPostgres]:
    """The process's PostgreSQL to look at; the tests' own one has no TCP port."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("watched"), durable=False, tcp_port=free_port())
    server.start()
    try:
        watched = WatchedPostgres(server)
        asyncio.run(watched.prepare())
        yield watched
    finally:
        server.destroy()


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundHttp]:
    """Guarded HTTP that may reach this machine."""
    http = OutboundHttp(test_security())
    yield http
    await http.aclose()
