"""The database roles: how they are made, and how a process refuses to run as the wrong one.

tocsin_owner    owns the schema; migrations only
tocsin_app      API, workers, tests: owns nothing, no BYPASSRLS
tocsin_system   relay and key look-up; may only call the functions of schema tocsin_private
tocsin_backup   reads everything (BYPASSRLS), writes nothing
tocsin_definer  nobody can log in as it; it owns the SECURITY DEFINER functions, which FORCE would otherwise blind
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import Database

ROLES = {
    "tocsin_owner": "login",
    "tocsin_app": "login",
    "tocsin_system": "login",
    "tocsin_backup": "login bypassrls",
    "tocsin_definer": "nologin bypassrls",
}


class UnsafeRole(RuntimeError):
    """The process is connected as a role that row level security does not bind."""


@dataclass(frozen=True)
class RoleFacts:
    """What ``pg_roles`` and ``pg_class`` say about the connected role."""

    name: str
    superuser: bool
    bypass_rls: bool
    owned_relations: int


async def bootstrap(
    connection: asyncpg.Connection[Any], *, database: str, passwords: dict[str, str] | None = None
) -> None:
    """This will create the roles that are missing, and a database owned by tocsin_owner with the needed extensions.

    Args:
        connection: As a superuser (or a role that may create roles), on the maintenance database.
        database: Name of the database to create when it is not there.
        passwords: Role name to password; roles without one keep what they have (local trust or peer).
    """
    for role, attributes in ROLES.items():
        known = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
        if known is None:
            await connection.execute(f'create role "{role}" {attributes} nosuperuser nocreatedb nocreaterole')
        secret = (passwords or {}).get(role)
        if secret is not None:
            quoted = await connection.fetchval("select quote_literal($1::text)", secret)
            await connection.execute(f'alter role "{role}" password {quoted}')
    await connection.execute("grant tocsin_definer to tocsin_owner")
    if await connection.fetchval("select 1 from pg_database where datname = $1", database) is None:
        quoted = await connection.fetchval("select quote_ident($1)", database)
        await connection.execute(f"create database {quoted} owner tocsin_owner encoding 'UTF8' template template0")


async def read_role(engine: AsyncEngine) -> RoleFacts:
    """This will ask the server who we are."""
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                text(
                    "select r.rolname, r.rolsuper, r.rolbypassrls, (select count(*) from (select 1 from pg_class c"
                    " where pg_has_role(r.oid, c.relowner, 'USAGE') and c.relnamespace not in"
                    " (select oid from pg_namespace where nspname like 'pg\\_%' or nspname = 'information_schema')"
                    " limit 1) owned) as owned from pg_roles r where r.rolname = current_user"
                )
            )
        ).one()
    return RoleFacts(name=row[0], superuser=row[1], bypass_rls=row[2], owned_relations=row[3])


async def assert_safe_roles(database: Database) -> None:
    """This will refuse to go on as a superuser, an owner, or a role that bypasses row level security.

    Raises:
        UnsafeRole: Says which role, why, and which setting to change.
    """
    for setting, engine in (
        ("TOCSIN_DATABASE__APP_URL", database.app),
        ("TOCSIN_DATABASE__SYSTEM_URL", database.system),
    ):
        facts = await read_role(engine)
        reasons = [
            reason
            for unsafe, reason in (
                (facts.superuser, "it is a superuser"),
                (facts.bypass_rls, "it has BYPASSRLS"),
                (facts.owned_relations > 0, "it owns (or can act as the owner of) tables"),
            )
            if unsafe
        ]
        if reasons:
            raise UnsafeRole(
                f"refusing to start as database role {facts.name!r}: {' and '.join(reasons)}, so row level security would "
                f"not hold. Point {setting} at a role made by 'tocsin db bootstrap'."
            )
