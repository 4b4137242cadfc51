"""Sessions as ``tocsin_system``: no tenant, no tables, only the functions in schema ``tocsin_private``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.engine import Database
from app.db.tenancy import DatabaseUnavailable

log = structlog.get_logger(__name__)


class SystemSession(AsyncSession):
    """A session that may look across tenants, through a short list of SECURITY DEFINER functions."""

    reason: str


@asynccontextmanager
async def system_session(database: Database, *, reason: str) -> AsyncIterator[SystemSession]:
    """This will open a transaction as the system role and commit it at the end.

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
                await session.connection()
            except (PoolTimeout, DBAPIError, OSError) as error:
                raise DatabaseUnavailable(type(error).__name__) from error
            yield session
    finally:
        # Shielded: a cancelled request must still hand its connection back clean.
        await asyncio.shield(session.close())
