"""The engines of a process: one pool per database role, opened once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeAlias, cast

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, PoolResetState

from app.db.gauges import watch_pool
from app.settings.database import DatabaseSettings

if TYPE_CHECKING:  # generic in its stubs only
    DriverConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    DriverConnection = asyncpg.Connection

LOST_CONNECTION = (
    PoolTimeout,
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of an answer
    OSError,
)
"""What a statement that cannot be wrong in itself fails with: the connection is dead, refused, or none came free."""

TRANSACTION = "tocsin.transaction"
"""In a pooled connection's ``info`` from before its transaction begins until after it is committed."""

ROLLBACK_S = 2.0
# Beyond the server's own statement time-out: only a server that cannot be reached any more leaves us waiting so long.
SILENCE_S = 5.0


_ARRAYS = text("select cast(:ids as uuid[])")


def _dumps(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def make_engine(url: str, settings: DatabaseSettings, *, pool_size: int, overflow: int, name: str) -> AsyncEngine:
    """This will build one engine whose sessions carry our time-outs and a readable application name.

    Its connections are in autocommit mode: whoever needs a transaction begins and commits it (``tenancy.py``).
    """
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=settings.pool_wait_s,
        pool_recycle=settings.pool_recycle_s,
        pool_reset_on_return="rollback",
        pool_use_lifo=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": settings.connect_timeout_s,
            "command_timeout": settings.statement_timeout_ms / 1000 + SILENCE_S,
            "server_settings": {
                "application_name": f"tocsin-{name}",
                "statement_timeout": str(settings.statement_timeout_ms),
                "lock_timeout": str(settings.lock_timeout_ms),
                "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
                "timezone": "UTC",
                "jit": "off",
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _hand_out_no_closed_connection)
    event.listen(engine.sync_engine, "reset", _leave_no_transaction)
    return engine


def _hand_out_no_closed_connection(
    connection: DBAPIConnection, entry: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """After a restart or failover of the server every pooled connection is closed, and the driver knows it.

    Without this each of them would cost one request a 503. The whole pool is made anew, so the pool asks only once.
    """
    if _is_closed(connection):
        raise InvalidatePoolError


def _is_closed(connection: DBAPIConnection) -> bool:
    return bool(connection.driver_connection.is_closed())


def _leave_no_transaction(connection: DBAPIConnection, entry: ConnectionPoolEntry, state: PoolResetState) -> None:
    """The pool's own rollback knows nothing of a transaction that SQLAlchemy did not begin.

    The driver is not asked: after a cancelled begin it does not know yet. The roll-back waits for the answer, but not for
    ever: a connection whose other end is gone without a word (F45) is given up, and its slot is free again.
    """
    if entry.info.pop(TRANSACTION, False) and not state.terminate_only and not _is_closed(connection):
        connection.run_async(_roll_back)


async def _roll_back(driver: DriverConnection) -> None:
    try:
        async with asyncio.timeout(ROLLBACK_S):
            await driver.execute("rollback")
    except TimeoutError:
        driver.terminate()


def driver_of(connection: AsyncConnection) -> DriverConnection:
    """This will return the driver's connection beneath, for the few hot statements where SQLAlchemy's share counts."""
    return cast("DriverConnection", connection.sync_connection.connection.driver_connection)  # type: ignore[union-attr]


class Database:
    """The process's two pools.

    Attributes:
        app: As ``tocsin_app``; reached through ``tenant_session`` only.
        system: As ``tocsin_system``; reached through ``system_session`` only.
        on_enqueued: Called after each commit that made a job, to wake a relay; must not block or raise.
    """

    def __init__(self, *, app: AsyncEngine, system: AsyncEngine, kept: int = 0) -> None:
        self.app = app
        self.system = system
        self.on_enqueued: Callable[[], None] | None = None
        self._kept = kept

    @classmethod
    def from_settings(cls, settings: DatabaseSettings) -> Database:
        """This will build the engines; no connection is opened before the first use."""
        database = cls(
            app=make_engine(
                settings.app_url.get_secret_value(),
                settings,
                pool_size=settings.pool_size,
                overflow=settings.pool_overflow,
                name="app",
            ),
            system=make_engine(
                settings.system_url.get_secret_value(),
                settings,
                pool_size=settings.system_pool_size,
                overflow=0,
                name="system",
            ),
            kept=settings.pool_size,
        )
        watch_pool(database.app, role="app", limit=settings.pool_size + settings.pool_overflow)
        watch_pool(database.system, role="system", limit=settings.system_pool_size)
        return database

    async def open(self) -> None:
        """This will open the connections that the pool keeps, and replace those that are too old, before there is work for them.

        In the first moment of a storm they would be opened all at once, and with each the driver asks for the types of
        arrays, which takes longer than the work.
        """
        async with AsyncExitStack() as opened:
            for _ in range(self._kept):
                connection = await opened.enter_async_context(self.app.connect())
                await connection.execute(_ARRAYS, {"ids": []})

    async def dispose(self) -> None:
        """This will close both pools."""
        await self.app.dispose()
        await self.system.dispose()
