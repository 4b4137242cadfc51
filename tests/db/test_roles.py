"""A process refuses to run as a role that row level security does not bind."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from app.db.engine import Database
from app.db.roles import UnsafeRole, assert_safe_roles, read_role
from tests.fixtures.database import PostgresServer


async def check(postgres: PostgresServer, database_name: str, **urls: str) -> None:
    settings = postgres.settings_for(database_name, **{name: SecretStr(url) for name, url in urls.items()})
    database = Database.from_settings(settings)
    try:
        await assert_safe_roles(database)
    finally:
        await database.dispose()


async def test_the_app_and_system_roles_are_accepted(postgres: PostgresServer, database_name: str) -> None:
    await check(postgres, database_name)


@pytest.mark.parametrize(
    ("role", "why"),
    [
        ("postgres", "it is a superuser"),
        ("tocsin_owner", r"it owns \(or can act as the owner of\) tables"),
        ("tocsin_backup", "it has BYPASSRLS"),
    ],
)
@pytest.mark.parametrize("setting", ["app_url", "system_url"])
async def test_roles_that_see_every_row_are_refused(
    postgres: PostgresServer, database_name: str, role: str, why: str, setting: str
) -> None:
    url = postgres.server.url_for(role, database=database_name)
    with pytest.raises(UnsafeRole, match=why) as refused:
        await check(postgres, database_name, **{setting: url})
    assert f"TOCSIN_DATABASE__{setting.upper()}" in str(refused.value)


async def test_a_member_of_the_owner_role_is_refused_too(postgres: PostgresServer, scratch_name: str) -> None:
    async with postgres.superuser() as connection:
        await connection.execute("create role sneaky login")
        await connection.execute("grant tocsin_owner to sneaky")
    url = postgres.server.url_for("sneaky", database=scratch_name)
    with pytest.raises(UnsafeRole, match="act as the owner"):
        await check(postgres, scratch_name, app_url=url)


async def test_nobody_can_log_in_as_the_definer_role(postgres: PostgresServer) -> None:
    async with postgres.superuser() as connection:
        row = await connection.fetchrow("select rolcanlogin, rolsuper from pg_roles where rolname = 'tocsin_definer'")
    assert tuple(row) == (False, False)


async def test_read_role_reports_the_app_role(database: Database) -> None:
    facts = await read_role(database.app)
    assert (facts.name, facts.superuser, facts.bypass_rls, facts.owned_relations) == ("tocsin_app", False, False, 0)
