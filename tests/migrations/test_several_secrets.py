"""Several secrets of a source become one that does not end, and the others end in a day: none is lost (revision 0018)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.migrate import downgrade, upgrade
from app.db.tenancy import tenant_session
from tests.fixtures.database import PostgresServer, make_tenant

BEFORE, AFTER = "0017", "0018"
SOURCE = text(
    "insert into sources (tenant_id, id, public_id, kind, name, profile, default_severity)"
    " values (:tenant, :id, :public_id, 'generic', :public_id, 'bearer', 'P2')"
)
SECRET = text(
    "insert into source_secrets (tenant_id, id, source_id, ciphertext, expires_at, created_at)"
    " values (:tenant, :id, :source, 'x', :ends, :made)"
)


@pytest.fixture
async def name(postgres: PostgresServer) -> AsyncIterator[str]:
    name = await postgres.clone()
    yield name
    await postgres.drop(name)


@pytest.fixture
async def database(postgres: PostgresServer, name: str) -> AsyncIterator[Database]:
    database = Database.from_settings(postgres.settings_for(name))
    yield database
    await database.dispose()


async def make(database: Database, tenant: TenantId, *ends: datetime | None) -> list[UUID]:
    """A source with secrets of these ends, the oldest first."""
    source, secrets = new_id(), [new_id() for _ in ends]
    async with tenant_session(database, tenant) as session:
        await session.execute(SOURCE, {"tenant": tenant, "id": source, "public_id": source.hex[-26:]})
        for number, (secret, end) in enumerate(zip(secrets, ends, strict=True)):
            made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
            await session.execute(SECRET, {"tenant": tenant, "id": secret, "source": source, "ends": end, "made": made})
    return secrets


async def ends_of(database: Database, tenant: TenantId) -> dict[Any, datetime | None]:
    async with tenant_session(database, tenant) as session:
        rows = (await session.execute(text("select id, expires_at from source_secrets"))).all()
    return {row.id: row.expires_at for row in rows}


async def test_the_newest_stays_and_the_others_end_in_a_day(
    postgres: PostgresServer, name: str, database: Database
) -> None:
    url = postgres.server.url_for("tocsin_owner", database=name)
    mine, theirs = [await make_tenant(database) for _ in range(2)]
    soon = datetime.now(UTC) + timedelta(minutes=5)
    oldest, ending, middle, newest = await make(database, mine, None, soon, None, None)
    (alone,) = await make(database, theirs, None)
    await asyncio.to_thread(downgrade, url, BEFORE)
    ends = await ends_of(database, mine)
    assert (ends[newest], ends[ending]) == (None, soon)
    for secret in (oldest, middle):
        left = (ends[secret] or soon) - datetime.now(UTC)
        assert timedelta(hours=23) < left <= timedelta(days=1)
    assert await ends_of(database, theirs) == {alone: None}
    async with postgres.superuser(name) as connection:
        forced = await connection.fetchval(
            "select relforcerowsecurity from pg_class where oid = 'source_secrets'::regclass"
        )
    assert forced is True
    await asyncio.to_thread(upgrade, url, AFTER)
    assert await ends_of(database, mine) == ends
