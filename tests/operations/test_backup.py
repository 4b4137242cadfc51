"""A backup brings everything back: rows of every tenant, the locks between them, and their audit trails (B3, B4, C18)."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.clock import SystemClock
from app.core.ids import new_id
from app.core.resources import Resources
from app.db.catalogue import tenant_tables
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.embedded.postgres import packaged_binaries
from app.observability.metrics import REGISTRY
from app.operations.backup.checking import check_restored
from app.operations.backup.errors import RestoreIncomplete
from app.operations.backup.looking import ENCRYPTED
from app.operations.backup.making import list_backups
from app.operations.backup.rehearsal import check_file, rehearse
from app.operations.backup.reporting import report_backup
from app.settings import Settings
from app.settings.redis import RedisSettings
from app.wiring import build_resources, close_resources
from tests.fixtures.database import PostgresServer
from tests.operations.backups import NOW, Filled, back_up, bring_back, fill
from workers.backup_watch import EVERY_S, BackupWatch


@pytest.fixture
async def filled(postgres: PostgresServer, scratch_name: str, scratch_resources: Resources) -> Filled:
    return await fill(postgres, scratch_name, scratch_resources)


async def test_every_row_of_every_tenant_comes_back(
    postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path
) -> None:
    manifest, dump = await back_up(postgres, filled.name, tmp_path)
    async with filled.resources.get(Database).app.connect() as looking:
        by_tenant = await tenant_tables(looking)
    for table in by_tenant:
        assert set(filled.tenants) <= set(manifest.contents.tables[table].tenants), f"{table} was not tried"
    first, second = (manifest.contents.tables["deliveries"].tenants[tenant] for tenant in filled.tenants)
    assert (first, second) == (2, 3)
    report = await bring_back(postgres, dump, target)
    assert report.found == manifest.contents
    assert report.audit_entries == manifest.contents.tables["audit_entries"].rows > 0
    assert report.missing_keys == []
    assert (await bring_back_reads(postgres, filled.name)) == (await bring_back_reads(postgres, target))


async def bring_back_reads(postgres: PostgresServer, name: str) -> dict[str, Any]:
    """Every row of every table, as text."""
    async with postgres.superuser(name) as connection:
        tables = await connection.fetch(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
            " and not relispartition"
        )
        return {
            table[0]: [row[0] for row in await connection.fetch(f'select t::text from "{table[0]}" t order by 1')]
            for table in tables
        }


async def test_the_restored_database_serves_and_keeps_tenants_apart(
    postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path
) -> None:
    from app.main import create_app

    _, dump = await back_up(postgres, filled.name, tmp_path)
    await bring_back(postgres, dump, target)
    before = filled.resources.get(Settings)
    settings = before.model_copy(
        update={"database": postgres.settings_for(target), "redis": RedisSettings(url=SecretStr("redis://127.0.0.1:1"))}
    )
    resources = build_resources(settings)
    transport = httpx.ASGITransport(app=create_app(settings, resources), raise_app_exceptions=False)
    mine, other = filled.tenants
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as api:
        seen = {}
        for tenant in filled.tenants:
            answer = await api.get("/v1/deliveries", headers={"Authorization": filled.tokens[tenant]})
            assert answer.status_code == 200, answer.text
            seen[tenant] = [item["id"] for item in answer.json()["items"]]
        foreign = await api.get(f"/v1/receipts/{seen[other][0]}", headers={"Authorization": filled.tokens[mine]})
    assert [len(seen[tenant]) for tenant in filled.tenants] == [2, 3]
    assert not set(seen[mine]) & set(seen[other])
    assert foreign.status_code == 404
    async with tenant_session(resources.get(Database), mine) as session:
        assert (await session.execute(text("select count(distinct tenant_id) from deliveries"))).scalar_one() == 1
    async with resources.get(Database).app.connect() as unset:
        assert (await unset.execute(text("select count(*) from deliveries"))).scalar_one() == 0
    await close_resources(resources)


async def test_what_is_written_meanwhile_is_in_whole_or_not_at_all(
    postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path
) -> None:
    database, tenant = filled.resources.get(Database), filled.tenants[0]
    written, over = 0, asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not over.is_set():
            async with tenant_session(database, tenant) as session:
                await session.execute(
                    text("insert into tenant_pauses (tenant_id, id, queue) values (:t, :id, :queue)"),
                    {"t": tenant, "id": new_id(), "queue": new_id().hex},
                )
            written += 1

    writer = asyncio.create_task(write())
    manifest, dump = await back_up(postgres, filled.name, tmp_path)
    over.set()
    await writer
    assert written > 1
    report = await bring_back(postgres, dump, target)
    assert report.found.tables["tenant_pauses"] == manifest.contents.tables["tenant_pauses"]


async def test_the_files_are_the_owners_alone_and_hold_no_key(
    postgres: PostgresServer, filled: Filled, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "backups"
    manifest, dump = await back_up(postgres, filled.name, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == dict.fromkeys(
        ("tocsin-20261121T030000Z.dump", "tocsin-20261121T030000Z.manifest.json", ".lock"), 0o600
    )
    assert manifest.contents.key_ids == ["test"]
    key = filled.resources.get(Settings).security.encryption_keys[0].get_secret_value().partition(":")[2]
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    assert key.encode() not in written
    assert manifest.size_bytes == dump.stat().st_size


async def test_a_missing_key_is_named(postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path) -> None:
    _, dump = await back_up(postgres, filled.name, tmp_path)
    report = await bring_back(postgres, dump, target, keys={"newer": bytes(32)})
    assert report.missing_keys == ["test"]


async def test_every_encrypted_column_is_known(postgres: PostgresServer, scratch_name: str) -> None:
    async with postgres.superuser(scratch_name) as connection:
        rows = await connection.fetch(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            " and data_type = 'bytea' and column_name in ('secret', 'ciphertext')"
        )
    assert {row[0]: row[1] for row in rows} == ENCRYPTED


DAMAGE = {
    "a delivery is gone": ("delete from deliveries where ctid in (select ctid from deliveries limit 1)", "deliveries:"),
    "a tenant's row too many": (
        "insert into tenant_pauses (tenant_id, id, queue) select tenant_id, gen_random_uuid(), 'x' from deliveries limit 1",
        "tenant_pauses:",
    ),
    "a table is gone": ("drop table effects", "table effects is missing"),
    "a policy is gone": (
        "drop policy tenant_isolation on incidents",
        "incidents has not exactly one restrictive policy",
    ),
    "force is off": ("alter table alerts no force row level security", "alerts does not force row level security"),
    "a grant is gone": ("revoke insert on deliveries from tocsin_app", "owners, grants"),
    "a function has another owner": (
        "alter function tocsin_private.purge_finished owner to postgres",
        "purge_finished runs as postgres",
    ),
    "an audit entry was changed": ("update audit_entries set action = 'nothing' where seq = 1", "the audit trail of"),
    "another schema": ("update alembic_version set version_num = '0001'", "the schema is at revision 0001"),
    "no row without a tenant": ("delete from queue_pauses", "queue_pauses has 0 rows, not 1"),
}


async def test_whatever_is_missing_is_named(
    postgres: PostgresServer, filled: Filled, target: str, tmp_path: Path
) -> None:
    manifest, dump = await back_up(postgres, filled.name, tmp_path)
    await bring_back(postgres, dump, target)
    for statement, words in DAMAGE.values():
        copy = f"{target}_damaged"
        async with postgres.superuser() as connection:
            await connection.execute(f'create database "{copy}" template "{target}"')
        async with postgres.superuser(copy) as connection:
            await connection.execute(statement)
        url = postgres.server.url_for("tocsin_backup", database=copy)
        with pytest.raises(RestoreIncomplete) as refusal:
            await check_restored(manifest, url, have_keys=None, say=lambda line: None)
        assert any(words in finding for finding in refusal.value.findings), refusal.value.findings
        await postgres.drop(copy)


async def test_the_backup_role_reads_everything_and_writes_nothing(postgres: PostgresServer, filled: Filled) -> None:
    async with filled.resources.get(Database).app.connect() as looking:
        tables = [
            *await tenant_tables(looking),
            "queue_pauses",
            "workers",
            "operator_tokens",
            "alembic_version",
            "backups",
        ]
    connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres.dsn("tocsin_backup", filled.name))
    try:
        assert await connection.fetchval("select count(distinct tenant_id) from deliveries") == 2
        for table in tables:
            await connection.fetch(f'select 1 from "{table}" limit 1')
            for statement in (
                f'insert into "{table}" select * from "{table}" limit 0',
                f'delete from "{table}"',
                f'truncate "{table}"',
                f'alter table "{table}" disable row level security',
                f'create index on "{table}" ((1))',
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        for statement in (
            "create table stray (id int)",
            "create schema stray",
            "select * from tocsin_private.list_tenants(null, 1)",
            "set role tocsin_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_old_backups_go_and_the_newest_stay(postgres: PostgresServer, scratch_name: str, tmp_path: Path) -> None:
    (tmp_path / "other.dump").write_text("not ours")
    for hour in range(4):
        await back_up(postgres, scratch_name, tmp_path, now=NOW + timedelta(hours=hour), keep=2)
    assert [manifest.taken_at.hour for manifest, _ in list_backups(tmp_path)] == [6, 5]
    assert (
        sorted(Path(name).suffix for name in os.listdir(tmp_path) if name != ".lock") == [".dump"] * 3 + [".json"] * 2
    )


async def test_a_rehearsal_restores_for_real_and_leaves_nothing(
    postgres: PostgresServer, filled: Filled, tmp_path: Path
) -> None:
    manifest, dump = await back_up(postgres, filled.name, tmp_path)
    assert await check_file(dump, programs_in=[packaged_binaries()]) == manifest
    async with postgres.superuser() as connection:
        statement = "select datname from pg_database where datname like 'tocsin_rehearsal%'"
        report = await rehearse(
            dump,
            superuser_dsn=postgres.dsn("postgres", "postgres"),
            owner_url=postgres.server.url_for("tocsin_owner", database=filled.name),
            backup_url=postgres.server.url_for("tocsin_backup", database=filled.name),
            programs_in=[packaged_binaries()],
            keys={"test": bytes(32)},
            say=lambda line: None,
        )
        assert await connection.fetch(statement) == []
    assert report.found == manifest.contents


async def test_the_last_success_is_a_metric(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str
) -> None:
    seconds, now = [0.0], SystemClock().now()
    watch = BackupWatch(ticks=lambda: seconds[0])

    async def shown() -> tuple[float, float]:
        async with system_session(scratch_database, reason="test") as session:
            await watch(session)
        names = ("tocsin_backup_last_success_timestamp_seconds", "tocsin_backup_size_bytes")
        first, second = (REGISTRY.get_sample_value(name) or 0.0 for name in names)
        return round(first, 3), second

    assert await shown() == (0, 0)
    settings = postgres.settings_for(scratch_name)
    await report_backup(settings, taken_at=now, size_bytes=70)
    await report_backup(settings, taken_at=now - timedelta(days=1), size_bytes=60)
    assert await shown() == (0, 0), "it looked before its time"
    seconds[0] = EVERY_S
    assert await shown() == (round(now.timestamp(), 3), 70)
