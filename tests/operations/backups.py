"""A database with rows of every kind for two tenants, a backup of it, and empty databases to restore into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from app.audit.service import record
from app.auth.rules import Role
from app.core.actor import Actor
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.catalogue import tenant_tables
from app.db.engine import Database
from app.db.roles import bootstrap
from app.db.tenancy import tenant_session
from app.embedded.postgres import packaged_binaries
from app.net.keyring import KeyRing
from app.operations.backup.looking import ENCRYPTED
from app.operations.backup.making import make_backup
from app.operations.backup.manifest import Manifest
from app.operations.backup.restoring import restore
from tests.factories.access import make_tokens
from tests.factories.ingest import committed_source, make_sender
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.jobs import run_jobs
from tests.tenancy.rows import make_row

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
KEYS = """
    select k.confrelid::regclass::text as parent,
      (select array_agg(a.attname::text order by p.n) from unnest(k.conkey) with ordinality p(num, n)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.num) as ours,
      (select array_agg(a.attname::text order by p.n) from unnest(k.confkey) with ordinality p(num, n)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = p.num) as theirs
    from pg_constraint k where k.conrelid = $1::regclass and k.contype = 'f'
"""


@dataclass(frozen=True)
class Filled:
    """A database with two tenants' rows.

    Attributes:
        tokens: Each tenant's viewer header.
    """

    name: str
    resources: Resources
    tenants: tuple[TenantId, TenantId]
    tokens: dict[TenantId, str]


async def fill(postgres: PostgresServer, name: str, resources: Resources) -> Filled:
    """This will give two tenants what real use leaves, and a row in every table that this did not reach."""
    database = resources.get(Database)
    tenants = (await make_tenant(database), await make_tenant(database))
    tokens: dict[TenantId, str] = {}
    sender = make_sender(resources)
    for number, tenant in enumerate(tenants, start=2):
        source = await committed_source(resources, tenant)
        answers = await asyncio.gather(*(sender.send(source) for _ in range(number)))
        assert {answer.status_code for answer in answers} == {202}
        tokens[tenant] = (await make_tokens(resources, tenant))[Role.VIEWER]
        for deed in range(number):
            async with tenant_session(database, tenant) as session:
                detail = {"deed": deed, "share": 0.5}
                await record(
                    session, actor=Actor.system("test"), action="test.done", subject="test", detail=detail, now=NOW
                )
    await run_jobs(resources)
    await sender.client.aclose()
    await sender.app.aclose()
    async with postgres.superuser(name) as connection, database.app.connect() as looking:
        await connection.execute("insert into queue_pauses (queue) values ('remediation')")
        columns = await tenant_tables(looking)
        for tenant in tenants:
            await _complete(connection, columns, tenant, resources.get(KeyRing))
    return Filled(name, resources, tenants, tokens)


async def _complete(
    connection: asyncpg.Connection[Any], columns: dict[str, str], tenant: UUID, keyring: KeyRing
) -> None:
    """Put a row into each table that has none of the tenant's; parents come before their children."""
    empty = [
        table
        for table, column in columns.items()
        if not await connection.fetchval(f'select exists (select 1 from "{table}" where "{column}" = $1)', tenant)
    ]
    for _ in range(len(empty)):
        for table in list(empty):
            try:
                async with connection.transaction():
                    await _add(connection, table, columns[table], tenant, keyring)
            except asyncpg.ForeignKeyViolationError:
                continue
            empty.remove(table)
    assert empty == []


async def _add(connection: asyncpg.Connection[Any], table: str, column: str, tenant: UUID, keyring: KeyRing) -> None:
    row = await make_row(connection, table, column, tenant)
    values = dict(zip(row.columns, row.values, strict=True))
    for key in await connection.fetch(KEYS, table):
        parents = columns_of(key["theirs"])
        parent = await connection.fetchrow(f"select {parents} from {key['parent']} where tenant_id = $1", tenant)
        if parent is not None:
            values |= {ours: parent[theirs] for ours, theirs in zip(key["ours"], key["theirs"], strict=True)}
    if table in ENCRYPTED:
        values[ENCRYPTED[table]] = keyring.encrypt(b"secret", context="test")
    holes = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await connection.execute(f'insert into "{table}" ({columns_of(values)}) values ({holes})', *values.values())


def columns_of(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


@asynccontextmanager
async def empty_target(postgres: PostgresServer) -> AsyncIterator[str]:
    """The name of a database as ``tocsin db bootstrap`` makes it."""
    async with postgres.superuser() as connection:
        name = f"target_{await connection.fetchval('select txid_current()')}_{id(connection):x}"
        await bootstrap(connection, database=name)
    try:
        yield name
    finally:
        await postgres.drop(name)


async def back_up(postgres: PostgresServer, name: str, folder: Path, **changes: Any) -> tuple[Manifest, Path]:
    values: dict[str, Any] = {"now": NOW, "keep": None, "programs_in": [packaged_binaries()], "say": lambda line: None}
    return await make_backup(postgres.server.url_for("tocsin_backup", database=name), folder, **(values | changes))


async def bring_back(postgres: PostgresServer, dump: Path, name: str, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "owner_url": postgres.server.url_for("tocsin_owner", database=name),
        "backup_url": postgres.server.url_for("tocsin_backup", database=name),
        "replace": False,
        "programs_in": [packaged_binaries()],
        "keys": None,
        "say": lambda line: None,
    }
    return await restore(dump, **(values | changes))


async def tables_in(postgres: PostgresServer, name: str) -> int:
    async with postgres.superuser(name) as connection:
        return int(
            await connection.fetchval(
                "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
            )
        )
