"""Restoring: everything in one transaction, so that the database holds the backup afterwards, or what it held before."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db.migrate import alembic_config
from app.db.roles import ROLES
from app.operations.backup.checking import Report, check_restored
from app.operations.backup.dumps import Dump
from app.operations.backup.errors import BackupTooNew, DatabaseNotReady, ProgramFailed, TargetNotEmpty
from app.operations.backup.looking import first_line, patient_engine
from app.operations.backup.manifest import Manifest, check_dump, read_manifest
from app.operations.backup.programs import Programs, Say, end, find_programs, libpq_environment, listen, piped

# What a dump brings itself and the database has, or what pg_restore would make before its owner may own it.
_MADE_BEFORE = ("SCHEMA - public", "SCHEMA - tocsin_private", "COMMENT - SCHEMA public")
_PREPARE = b"""
begin;
create extension if not exists pg_trgm schema public;
create schema tocsin_private;
-- The definer role takes the functions over, which needs the right to make some in the schema.
grant usage, create on schema tocsin_private to tocsin_definer;
"""
_CLEAR = b"""
begin;
set local lock_timeout = '5s';
drop schema if exists tocsin_private cascade;
do $$
declare
  name text;
begin
  for name in select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace
    and c.relkind in ('r', 'p') and not c.relispartition loop
    execute format('drop table public.%I cascade', name);
  end loop;
end $$;
"""
_EXISTING = text(
    "select count(*) from pg_class c where c.relnamespace in (select oid from pg_namespace"
    " where nspname in ('public', 'tocsin_private')) and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition"
)
_CHUNK_BYTES = 256 * 1024
_HEADER_END = b"SET row_security = off;\n"


async def restore(
    path: Path,
    *,
    owner_url: str,
    backup_url: str,
    replace: bool,
    programs_in: Sequence[Path],
    keys: Mapping[str, bytes] | None,
    say: Say,
) -> Report:
    """This will restore a backup into a database and check what came of it.

    Args:
        path: The dump, or its manifest.
        owner_url: SQLAlchemy URL of tocsin_owner, on the database to restore into.
        backup_url: The same of tocsin_backup, which looks whether every row is there.
        replace: Drop what the database holds, in the same transaction.
        keys: The encryption keys that are configured, by id; None does not look which are missing.

    Raises:
        BackupError: One of its kinds, in words for the operator.
    """
    manifest, path = read_manifest(path)
    say("checking the dump against its manifest")
    await asyncio.to_thread(check_dump, manifest, path)
    dump = Dump.of(manifest, path, keys)
    dump.check_key()
    _check_revision(manifest)
    server_major = await _check_target(owner_url, backup_url, replace=replace)
    programs = await find_programs(server_major, programs_in)
    await _load(dump, owner_url, programs, server_major, replace=replace, say=say)
    say("counting what was restored")
    return await check_restored(manifest, backup_url, have_keys=list(keys) if keys is not None else None, say=say)


def _check_revision(manifest: Manifest) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions()}
    if manifest.contents.revision not in known:
        raise BackupTooNew(
            f"the backup's schema is at revision {manifest.contents.revision}, which this release does not know. It was "
            f"made by Tocsin {manifest.tocsin_version}: restore it with that release or a newer one."
        )


async def _check_target(owner_url: str, backup_url: str, *, replace: bool) -> int:
    """Refuse a target that would fail half-way, or lose what it holds."""
    where = "select current_database(), pg_postmaster_start_time()"
    owner, backup = patient_engine(owner_url), patient_engine(backup_url)
    try:
        async with owner.connect() as mine, backup.connect() as theirs:
            missing = set(ROLES) - set((await mine.execute(text("select rolname from pg_roles"))).scalars())
            if missing:
                raise DatabaseNotReady(
                    f"the roles {', '.join(sorted(missing))} are missing: run tocsin db bootstrap first"
                )
            if (await mine.execute(text(where))).one() != (await theirs.execute(text(where))).one():
                raise DatabaseNotReady(
                    "TOCSIN_DATABASE__OWNER_URL and TOCSIN_DATABASE__BACKUP_URL lead to different databases"
                )
            existing = (await mine.execute(_EXISTING)).scalar_one()
            if existing and not replace:
                raise TargetNotEmpty(
                    f"the database holds {existing} tables already. Restore into an empty one (tocsin db bootstrap "
                    "--database NAME makes it), or give --replace to lose what is there."
                )
            return int((await mine.execute(text("show server_version_num"))).scalar_one()) // 10000
    except (OSError, DBAPIError) as error:
        raise DatabaseNotReady(f"the database does not answer: {first_line(error)}") from error
    finally:
        await owner.dispose()
        await backup.dispose()


async def _load(dump: Dump, url: str, programs: Programs, server_major: int, *, replace: bool, say: Say) -> None:
    """Send the dump's statements to psql, and the commit only once pg_restore has read the dump to its end."""
    contents = await dump.table_of_contents(programs)
    wanted = [line for line in contents if not any(entry in line for entry in _MADE_BEFORE)]
    with tempfile.NamedTemporaryFile("w", prefix="tocsin-restore-", suffix=".list") as chosen:
        chosen.write("\n".join(wanted) + "\n")
        chosen.flush()
        reader, feeding = await dump.start(programs, ["--verbose", f"--use-list={chosen.name}", "--file=-"])
        writer = await asyncio.create_subprocess_exec(
            programs.path("psql"),
            *("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null"),
            env=libpq_environment(url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await _pump(reader, writer, server_major, replace=replace, say=say)
            await feeding
        finally:
            feeding.cancel()
            await end(reader)
            await end(writer)


def for_server(header: bytes, server_major: int) -> bytes:
    """This will take out of a script's first settings what an older server does not know yet."""
    return header if server_major >= 17 else header.replace(b"SET transaction_timeout = 0;\n", b"")


async def _pump(
    reader: asyncio.subprocess.Process,
    writer: asyncio.subprocess.Process,
    server_major: int,
    *,
    replace: bool,
    say: Say,
) -> None:
    source, target = piped(reader.stdout), piped(writer.stdin)
    read_tail = asyncio.create_task(listen(reader, lambda table: say(f"restoring {table}")))
    write_tail = asyncio.create_task(listen(writer, None))
    try:
        if replace:
            target.write(_CLEAR)
        target.write(_PREPARE.replace(b"begin;", b"") if replace else _PREPARE)
        target.write(for_server(await source.readuntil(_HEADER_END), server_major))
        while chunk := await source.read(_CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
        if await reader.wait() == 0:
            target.write(b"\ncommit;\n")
            await target.drain()
    except (BrokenPipeError, ConnectionResetError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        # One of them met an error and is gone; what it said is told below.
        await end(reader)
    finally:
        # Without its end psql would wait for more; without the commit before it, nothing has happened.
        target.close()
    said = await write_tail
    if await writer.wait() != 0:
        raise ProgramFailed(f"psql failed, and the database is as it was before:\n{said}")
    heard = await read_tail
    if await reader.wait() != 0:
        raise ProgramFailed(f"pg_restore failed, and the database is as it was before:\n{heard}")
