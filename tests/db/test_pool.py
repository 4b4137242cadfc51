"""Connections that are ready before there is work for them."""

from __future__ import annotations

from sqlalchemy.pool import QueuePool

from app.db.engine import Database
from tests.fixtures.database import PostgresServer


async def test_the_connections_that_are_kept_are_opened_once(postgres: PostgresServer, database_name: str) -> None:
    database = Database.from_settings(postgres.settings_for(database_name, pool_size=3, pool_overflow=0))
    pool = database.app.pool
    assert isinstance(pool, QueuePool)
    try:
        for _ in range(2):
            await database.open()
            assert (pool.checkedin(), pool.checkedout()) == (3, 0)
    finally:
        await database.dispose()
