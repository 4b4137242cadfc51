"""Sessions as ``tocsin_system``: no tenant, no tables, only the functions in schema ``tocsin_private``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.engine import LOST_CONNECTION, TRANSACTION, Database, driver_of
from app.db.gauges import UNAVAILABLE
from app.db.tenancy import DatabaseUnavailable

log = structlog.get_logger(__name__)


class SystemSession(AsyncSession):
    """A session that may look across tenants, through a short list of SECURITY DEFINER functions."""

    reason: str


@asynccontextmanager
async def system_session(database: Database, *, reason: str) -> AsyncIterator[SystemSession]:
    """This will open a session as the system role. Each call of a function is a transaction of its own.

    Args:
        reason: Static text that names the use; logged, so that each crossing of tenants is on record.

    Raises:
        DatabaseUnavailable: No connection could be had.
    """
    session = SystemSession(database.system, expire_on_commit=False, autobegin=False)
    session.reason = reason
    log.debug("system.session", reason=reason)
    try:
        async with session.begin():
            try:
                connection = await session.connection()
            except (PoolTimeout, DBAPIError, OSError) as error:
                UNAVAILABLE.labels("system").inc()
                raise DatabaseUnavailable(type(error).__name__) from error
            # Until the block ends well the pool must not trust the connection: a statement may never be answered.
            pooled = connection.info
            pooled[TRANSACTION] = True
            yield session
            pooled.pop(TRANSACTION, None)
    finally:
        # Shielded: a cancelled request must still hand its connection back clean.
        await asyncio.shield(session.close())


async def server_time(session: SystemSession) -> datetime:
    """This will return PostgreSQL's clock: what is deleted by age is gone, so no process's own clock decides it."""
    now: datetime = (await session.execute(text("select clock_timestamp()"))).scalar_one()
    return now


async def system_call(database: Database, statement: str, *arguments: object, reason: str) -> Sequence[tuple[Any, ...]]:
    """This will run one statement of the driver's own form (``$1``) as a transaction of its own: a single round trip.

    Args:
        statement: A select from a function in ``tocsin_private``.
        reason: As for ``system_session``.

    Raises:
        DatabaseUnavailable: No connection could be had, or it was lost; whether the statement took effect is unknown.
    """
    log.debug("system.call", reason=reason)
    try:
        async with database.system.connect() as connection:
            connection.info[TRANSACTION] = True
            rows = await driver_of(connection).fetch(statement, *arguments)
            connection.info.pop(TRANSACTION, None)
        return [tuple(row) for row in rows]
    except LOST_CONNECTION as error:
        UNAVAILABLE.labels("system").inc()
        raise DatabaseUnavailable(type(error).__name__) from error
