"""The one place that says which tenant a transaction belongs to, and the one place that commits.

Row level security compares every row's ``tenant_id`` with ``app.current_tenant_id``. The setting is made with
``set_config(..., true)``, so it ends with the transaction; outside one it is unset or empty and every tenant
table shows nothing.

The pool's connections are in autocommit mode as far as SQLAlchemy knows: the transaction is begun and the tenant set here, in
one round trip, and committed here. A connection that comes back to the pool with an open transaction, for whatever
reason, is rolled back by the pool's reset (``app/db/engine.py``), so a cancelled request leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Unavailable
from app.core.ids import TenantId
from app.db.engine import LOST_CONNECTION, TRANSACTION, Database, DriverConnection, driver_of
from app.db.gauges import UNAVAILABLE


class TenantSession(AsyncSession):
    """A session whose transaction sees one tenant's rows and no others.

    Attributes:
        tenant_id: Whose rows.
        driver: The transaction's connection beneath SQLAlchemy, for the few hot statements where its share of the cost
            counts; its errors are asyncpg's own.
        pooled: What the pool keeps with the connection.
        enqueued: Whether a job was put into the table; the relay is woken after the commit.
    """

    tenant_id: TenantId
    driver: DriverConnection
    pooled: dict[Any, Any]
    enqueued: bool = False


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, or no connection came free in time."""

    code = "database.unavailable"
    title = "The database is not available"


class NotCommitted(RuntimeError):
    """A statement of the transaction had failed and was passed over: PostgreSQL has rolled everything back."""


@asynccontextmanager
async def tenant_session(database: Database, tenant_id: TenantId) -> AsyncIterator[TenantSession]:
    """This will open a transaction as ``tenant_id``, commit it at the end, and roll it back on any error.

    Raises:
        DatabaseUnavailable: No connection could be had.
        NotCommitted: The block ended well, but a failed statement in it had ended the transaction.
    """
    session = TenantSession(database.app, expire_on_commit=False, autobegin=False)
    session.tenant_id = tenant_id
    # Where nothing waits, the synchronous session is called: each asynchronous call is a switch of greenlets.
    synchronous = session.sync_session
    try:
        synchronous.begin()
        await _begin(session)
        yield session
        if session.in_transaction():  # or else the block has rolled back itself
            if synchronous.new or synchronous.dirty or synchronous.deleted:
                await session.flush()
            await _commit(session)
            await session.commit()
    finally:
        if session.in_transaction():
            # Shielded: a cancelled request must still hand its connection back clean.
            await asyncio.shield(session.close())
        else:
            synchronous.close()
    if session.enqueued and database.on_enqueued is not None:
        database.on_enqueued()


async def _begin(session: TenantSession) -> None:
    # A UUID holds nothing that would need quoting; bound parameters would cost a round trip more.
    tenant = UUID(str(session.tenant_id))
    try:
        connection = await session.connection()
        session.driver, session.pooled = driver_of(connection), connection.info
        session.pooled[TRANSACTION] = True
        await session.driver.execute(f"begin; select set_config('app.current_tenant_id', '{tenant}', true)")
    except LOST_CONNECTION as error:
        UNAVAILABLE.labels("app").inc()
        raise DatabaseUnavailable(type(error).__name__) from error


async def _commit(session: TenantSession) -> None:
    try:
        answer = await session.driver.execute("commit")
    except LOST_CONNECTION as error:  # committed or not: the caller's retry has to be safe in both cases
        UNAVAILABLE.labels("app").inc()
        raise DatabaseUnavailable(type(error).__name__) from error
    # PostgreSQL answers the commit of a failed transaction with a friendly ROLLBACK.
    if answer != "COMMIT":
        raise NotCommitted("a failed statement was passed over; nothing was written")
    session.pooled.pop(TRANSACTION, None)
