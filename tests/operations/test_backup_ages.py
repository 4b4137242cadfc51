"""A backup of yesterday's schema under today's code."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.db.engine import Database
from app.db.migrate import downgrade, upgrade
from tests.fixtures.database import PostgresServer, make_tenant
from tests.operations.backups import back_up, bring_back

OLDER = "0009"  # which brought backups


async def test_tenants_of_an_older_backup_come_back(
    postgres: PostgresServer, scratch_name: str, target: str, tmp_path: Path
) -> None:
    """It is restored as it was, and migrated after that."""
    database = Database.from_settings(postgres.settings_for(scratch_name))
    tenant = await make_tenant(database)
    await database.dispose()
    await asyncio.to_thread(downgrade, postgres.server.url_for("tocsin_owner", database=scratch_name), OLDER)
    manifest, dump = await back_up(postgres, scratch_name, tmp_path)
    assert manifest.contents.revision == OLDER
    await bring_back(postgres, dump, target)
    async with postgres.superuser(target) as connection:
        assert await connection.fetchval("select version_num from alembic_version") == OLDER
    await asyncio.to_thread(upgrade, postgres.server.url_for("tocsin_owner", database=target))
    async with postgres.superuser(target) as connection:
        assert await connection.fetchval("select id from tenants") == tenant
