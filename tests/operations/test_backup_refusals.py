"""What is not a whole backup, or not a place for one, is refused in words that say what to do; nothing is half done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.embedded.postgres import packaged_binaries
from app.operations.backup.errors import (
    BackupDamaged,
    BackupError,
    BackupTooNew,
    BackupUnreadable,
    DatabaseNotReady,
    FolderBusy,
    ProgramFailed,
    ProgramMissing,
    RestoreIncomplete,
    TargetNotEmpty,
)
from app.operations.backup.making import list_backups
from app.operations.backup.manifest import manifest_path
from app.operations.backup.programs import find_programs, libpq_environment
from app.operations.backup.rehearsal import check_file
from app.operations.backup.restoring import for_server
from tests.fixtures.database import PostgresServer
from tests.operations.backups import back_up, bring_back, tables_in


@pytest.fixture
async def dump(postgres: PostgresServer, scratch_name: str, tmp_path: Path) -> Path:
    """A backup of a migrated database without tenants."""
    return (await back_up(postgres, scratch_name, tmp_path / "backups"))[1]


def rewrite(path: Path, **changes: Any) -> None:
    """This will change the manifest's words."""
    manifest = manifest_path(path)
    manifest.write_bytes(orjson.dumps(orjson.loads(manifest.read_bytes()) | changes))


def overwrite(path: Path, words: str) -> None:
    manifest_path(path).write_text(words)


def shorten(dump: Path, by: int) -> None:
    """This will cut the dump and make the manifest fit it."""
    body = dump.read_bytes()[:-by]
    dump.write_bytes(body)
    rewrite(dump, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())


def flip(dump: Path) -> None:
    body = bytearray(dump.read_bytes())
    body[len(body) // 2] ^= 1
    dump.write_bytes(body)


def cut(dump: Path) -> None:
    dump.write_bytes(dump.read_bytes()[:-100])


def contents_of(dump: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(manifest_path(dump).read_bytes())["contents"]
    return found


SPOILED: dict[str, tuple[Callable[[Path], None], type[BackupError], str]] = {
    "one bit": (flip, BackupDamaged, "SHA-256"),
    "cut short": (cut, BackupDamaged, "bytes, not"),
    "no dump": (lambda dump: dump.unlink(), BackupDamaged, "take another copy"),
    "no manifest": (lambda dump: manifest_path(dump).unlink(), BackupUnreadable, "not a finished backup"),
    "not JSON": (lambda dump: overwrite(dump, "{"), BackupUnreadable, "not JSON"),
    "not a manifest": (lambda dump: overwrite(dump, '{"a": 1}'), BackupUnreadable, "not a manifest"),
    "a list": (lambda dump: overwrite(dump, "[]"), BackupUnreadable, "not a manifest"),
    "another folder's dump": (lambda dump: rewrite(dump, dump="../x.dump"), BackupUnreadable, "outside its own folder"),
    "a newer format": (lambda dump: rewrite(dump, format=2), BackupTooNew, "format 2"),
    "a newer schema": (
        lambda dump: rewrite(dump, contents=contents_of(dump) | {"revision": "9999"}),
        BackupTooNew,
        "revision 9999",
    ),
}


@pytest.mark.parametrize("how", SPOILED)
async def test_what_is_not_whole_is_refused_before_anything_is_touched(
    postgres: PostgresServer, dump: Path, target: str, how: str
) -> None:
    spoil, error, words = SPOILED[how]
    spoil(dump)
    with pytest.raises(error, match=words):
        await bring_back(postgres, dump, target)
    assert await tables_in(postgres, target) == 0
    if error is not BackupTooNew or "format" in words:
        with pytest.raises(error, match=words):
            await check_file(dump, programs_in=[packaged_binaries()])


async def test_a_dump_that_breaks_off_leaves_what_was_there(postgres: PostgresServer, dump: Path, target: str) -> None:
    """The checksum fits, but the dump is broken: the failure is met half-way, in the transaction."""
    await bring_back(postgres, dump, target)
    async with postgres.superuser(target) as connection:
        await connection.execute("insert into queue_pauses (queue) values ('kept')")
    shorten(dump, 10)
    with pytest.raises(ProgramFailed, match="as it was before"):
        await bring_back(postgres, dump, target, replace=True)
    async with postgres.superuser(target) as connection:
        assert await connection.fetchval("select queue from queue_pauses") == "kept"


async def test_a_database_that_holds_something_is_refused_and_replaced_on_demand(
    postgres: PostgresServer, dump: Path, target: str
) -> None:
    await bring_back(postgres, dump, target)
    async with postgres.superuser(target) as connection:
        await connection.execute("insert into queue_pauses (queue) values ('lost')")
    with pytest.raises(TargetNotEmpty, match="--replace"):
        await bring_back(postgres, dump, target)
    async with postgres.superuser(target) as connection:
        assert await connection.fetchval("select count(*) from queue_pauses") == 1
    await bring_back(postgres, dump, target, replace=True)
    async with postgres.superuser(target) as connection:
        assert await connection.fetchval("select count(*) from queue_pauses") == 0


def make_programs(folder: Path, *, restore: str) -> Path:
    """This will make programs that are the real ones, but for what pg_restore does with a dump."""
    folder.mkdir()
    real = packaged_binaries()
    bodies = {name: f'exec {real / name} "$@"' for name in ("pg_dump", "psql")}
    listing = f'case "$*" in *--list*) exec {real / "pg_restore"} "$@";; esac'
    bodies["pg_restore"] = f"{listing}\n{restore.format(real=real / 'pg_restore')}"
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


DEATHS = {
    "half-way": '{real} --section=pre-data "$@"; exit 3',
    "at the very end": '{real} "$@"; kill -9 $$',
    "at once": "exit 1",
}


@pytest.mark.parametrize("restore", list(DEATHS.values()), ids=list(DEATHS))
async def test_a_reader_that_dies_between_two_statements_commits_nothing(
    postgres: PostgresServer, dump: Path, target: str, tmp_path: Path, restore: str
) -> None:
    folder = make_programs(tmp_path / "programs", restore=restore)
    with pytest.raises(ProgramFailed, match="as it was before"):
        await bring_back(postgres, dump, target, programs_in=[folder])
    assert await tables_in(postgres, target) == 0


async def test_what_psql_says_is_passed_on(postgres: PostgresServer, dump: Path, target: str) -> None:
    async with postgres.superuser() as connection:
        await connection.execute(f'alter database "{target}" owner to postgres')
    with pytest.raises(ProgramFailed, match=r"as it was before:\n(?s:.*)permission denied to create extension"):
        await bring_back(postgres, dump, target)
    assert await tables_in(postgres, target) == 0


def test_an_older_server_is_not_sent_what_it_does_not_know() -> None:
    header = b"SET lock_timeout = 0;\nSET transaction_timeout = 0;\nSET row_security = off;\n"
    assert for_server(header, 17) == header
    assert for_server(header, 16) == b"SET lock_timeout = 0;\nSET row_security = off;\n"


async def test_rows_that_the_dump_lacks_are_noticed(
    postgres: PostgresServer, scratch_name: str, dump: Path, target: str
) -> None:
    contents = contents_of(dump)
    contents["tables"]["jobs"] = {"rows": 1, "tenants": {"01900000-0000-7000-8000-000000000000": 1}}
    rewrite(dump, contents=contents)
    with pytest.raises(RestoreIncomplete, match="tenant 01900000-0000-7000-8000-000000000000 has 0 rows, not 1"):
        await bring_back(postgres, dump, target)


async def test_a_target_that_is_not_one_is_refused(
    postgres: PostgresServer, scratch_name: str, dump: Path, target: str
) -> None:
    other = postgres.server.url_for("tocsin_backup", database=scratch_name)
    with pytest.raises(DatabaseNotReady, match="different databases"):
        await bring_back(postgres, dump, target, backup_url=other)
    gone = postgres.server.url_for("tocsin_owner", database="not_there")
    with pytest.raises(DatabaseNotReady, match="does not answer"):
        await bring_back(postgres, dump, target, owner_url=gone)
    assert await tables_in(postgres, target) == 0


async def test_a_role_that_sees_nothing_makes_no_backup(
    postgres: PostgresServer, scratch_name: str, tmp_path: Path
) -> None:
    from app.operations.backup.making import make_backup
    from tests.operations.backups import NOW

    for role, words in (("tocsin_app", "bound by row level security"), ("nobody", "does not answer")):
        url = postgres.server.url_for(role, database=scratch_name)
        with pytest.raises(DatabaseNotReady, match=words):
            await make_backup(url, tmp_path, now=NOW, keep=None, programs_in=[packaged_binaries()], say=print)
    assert os.listdir(tmp_path) == [".lock"]


async def test_a_dump_that_fails_leaves_no_file(postgres: PostgresServer, scratch_name: str, tmp_path: Path) -> None:
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("create table stray (id uuid)")
    with pytest.raises(DatabaseNotReady, match="permission denied for table stray"):
        await back_up(postgres, scratch_name, tmp_path)
    assert os.listdir(tmp_path) == [".lock"]
    assert list_backups(tmp_path) == []


async def test_two_backups_do_not_share_a_folder_at_once(
    postgres: PostgresServer, scratch_name: str, tmp_path: Path
) -> None:
    tried: list[BaseException | None] = []

    def meanwhile(line: str) -> None:
        if not tried and line.startswith("counting"):
            from app.operations.backup.making import _locked

            with pytest.raises(FolderBusy) as refusal, _locked(tmp_path):
                raise AssertionError("the folder was free")
            tried.append(refusal.value)

    await back_up(postgres, scratch_name, tmp_path, say=meanwhile)
    assert len(tried) == 1
    with pytest.raises(FolderBusy, match="there already"):
        await back_up(postgres, scratch_name, tmp_path)


async def test_what_a_killed_backup_left_is_cleared_away(
    postgres: PostgresServer, scratch_name: str, tmp_path: Path
) -> None:
    (tmp_path / ".tocsin-20260101T000000Z.dump.partial").write_text("half")
    await back_up(postgres, scratch_name, tmp_path)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


async def test_programs_older_than_the_server_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.operations.backup.programs._installed", list)
    for name in ("pg_dump", "pg_restore", "psql"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)'\n")
        program.chmod(0o755)
    assert (await find_programs(15, [tmp_path])).version == "15.4"
    with pytest.raises(ProgramMissing, match=r"15\.4 in .* Install postgresql-client-16"):
        await find_programs(16, [tmp_path])
    with pytest.raises(ProgramMissing, match="found: none"):
        await find_programs(16, [tmp_path / "empty"])
    newest = await find_programs(15, [packaged_binaries(), tmp_path])
    assert newest.major == 15, "the server's own version fits best"


def test_a_password_is_never_an_argument() -> None:
    found = libpq_environment(
        "postgresql+asyncpg://tocsin_backup:p%40ss@db:5433/tocsin?ssl=verify-full&sslrootcert=/ca"
    )
    assert {name: value for name, value in found.items() if name.startswith("PG")} == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "tocsin_backup",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "tocsin",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca",
        "PGAPPNAME": "tocsin-backup",
        "PGCONNECT_TIMEOUT": "10",
    }
