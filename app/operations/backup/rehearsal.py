"""Proving a backup without touching what is in use: its checksum, its table of contents, or a restore into a database
that is made for it and dropped again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex

import asyncpg
from sqlalchemy.engine import make_url

from app.db.roles import bootstrap
from app.operations.backup.checking import Report
from app.operations.backup.dumps import Dump
from app.operations.backup.errors import DatabaseNotReady
from app.operations.backup.manifest import Manifest, check_dump, read_manifest
from app.operations.backup.programs import Say, find_programs
from app.operations.backup.restoring import restore


async def check_file(path: Path, *, programs_in: Sequence[Path], keys: Mapping[str, bytes] | None = None) -> Manifest:
    """This will compare the dump with its manifest and read its table of contents.

    Raises:
        BackupError: It is not whole.
    """
    manifest, path = read_manifest(path)
    await asyncio.to_thread(check_dump, manifest, path)
    dump = Dump.of(manifest, path, keys)
    dump.check_key()
    programs = await find_programs(int(manifest.program_version.partition(".")[0]), programs_in)
    await dump.table_of_contents(programs)
    return manifest


async def rehearse(
    path: Path,
    *,
    superuser_dsn: str,
    owner_url: str,
    backup_url: str,
    programs_in: Sequence[Path],
    keys: Mapping[str, bytes] | None,
    say: Say,
) -> Report:
    """This will restore the backup into a fresh database on the same server, check it, and drop that database.

    Args:
        superuser_dsn: libpq URL of a role that may create databases.
        owner_url: As for ``restore``; only the database's name is another.
        backup_url: The same.

    Raises:
        BackupError: It cannot be restored, or not whole.
    """
    name = f"tocsin_rehearsal_{token_hex(4)}"
    try:
        connection = await asyncpg.connect(superuser_dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise DatabaseNotReady(f"the database does not answer as the superuser: {error}") from error
    try:
        say(f"making database {name}")
        await bootstrap(connection, database=name)
        return await restore(
            path,
            owner_url=_with_database(owner_url, name),
            backup_url=_with_database(backup_url, name),
            replace=False,
            programs_in=programs_in,
            keys=keys,
            say=say,
        )
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
