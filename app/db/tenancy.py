"""The one place that says which tenant a transaction belongs to, and the one place that commits.

Row level security compares every row's ``tenant_id`` with ``app.current_tenant_id``. The setting is made with
``set_config(..., true)``, so it ends with the transaction; outside one it is unset or empty and every tenant
table shows nothing. It is set inside an explicit ``begin()`` block and never in an engine hook: a task that is
cancelled inside a hook can hand a connection with an open transaction back to the pool (sqlalchemy #13381).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Unavailable
from app.core.ids import TenantId
from app.db.engine import Database

_SET_TENANT = text("select set_config('app.current_tenant_id', :tenant_id, true)")


class TenantSession(AsyncSession):
    """A session whose transaction sees one tenant's rows and no others."""

    tenant_id: TenantId
    enqueued: bool = False


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, or no connection came free in time."""

    code = "database.unavailable"
    title = "The database is not available"


@asynccontextmanager
async def tenant_session(database: Database, tenant_id: TenantId) -> AsyncIterator[TenantSession]:
    """This will open a transaction as ``tenant_id``, commit it at the end, and roll it back on any error.

    Raises:
        DatabaseUnavailable: No connection could be had.
    """
    session = TenantSession(database.app, expire_on_commit=False, autobegin=False)
    session.tenant_id = tenant_id
    try:
        async with session.begin():
            await _first_statement(session, tenant_id)
            yield session
        if session.enqueued and database.on_enqueued is not None:
            database.on_enqueued()
    finally:
        # Shielded: a cancelled request must still hand its connection back clean.
        await asyncio.shield(session.close())


async def _first_statement(session: AsyncSession, tenant_id: TenantId) -> None:
    # This statement cannot be wrong in itself, so any failure of it is the connection's: dead, refused or none free.
    try:
        await session.execute(_SET_TENANT, {"tenant_id": str(tenant_id)})
    except (PoolTimeout, DBAPIError, OSError) as error:
        raise DatabaseUnavailable(type(error).__name__) from error
