"""Making a backup: count, dump and check in one snapshot; nothing bears a backup's name before it is whole."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from app.operations.backup.dumps import Dump
from app.operations.backup.errors import BackupError, FolderBusy
from app.operations.backup.looking import Snapshot, read_contents, snapshot_of
from app.operations.backup.manifest import FORMAT, SUFFIX, Contents, Manifest, read_manifest, sha256_of
from app.operations.backup.programs import Programs, Say, find_programs, run
from app.operations.backup.sealing import Sealer

LOCK_WAIT_MS = 30_000


async def make_backup(
    url: str,
    folder: Path,
    *,
    now: datetime,
    keep: int | None,
    programs_in: Sequence[Path],
    say: Say,
    seal_with: tuple[str, bytes] | None = None,
) -> tuple[Manifest, Path]:
    """This will write one backup into the folder and return its manifest and the dump's path.

    Args:
        url: SQLAlchemy URL of the role tocsin_backup.
        folder: Made when it is not there, for its owner only.
        keep: Backups to keep, this one included; None keeps all.
        programs_in: Where to look for pg_dump first.
        say: Told what is being done, one line each.
        seal_with: Id and bytes of the key to encrypt the dump with; None leaves it plain.

    Raises:
        BackupError: One of its kinds, in words for the operator. No half-written backup stays.
    """
    with _locked(folder):
        stem = f"tocsin-{now:%Y%m%dT%H%M%SZ}"
        if (folder / f"{stem}.dump").exists():
            raise FolderBusy(f"{folder / stem}.dump is there already; wait a second")
        async with snapshot_of(url) as snapshot:
            programs = await find_programs(snapshot.server_major, programs_in)
            say("counting rows")
            # Counting locks every table against being dropped until the dump is done.
            contents = await read_contents(snapshot.connection)
            partial = _create(folder / f".{stem}.dump.partial")
            try:
                await _dump(url, partial, snapshot, programs, say, seal_with)
                size_and_hash = await asyncio.to_thread(_measure, partial)
                manifest = _describe(f"{stem}.dump", now, size_and_hash, contents, snapshot, programs, seal_with)
                say("checking the dump")
                await Dump.of(manifest, partial, dict([seal_with] if seal_with else [])).table_of_contents(programs)
                _finish(partial, folder / manifest.dump)
            finally:
                partial.unlink(missing_ok=True)
        try:
            _write_manifest(folder / f"{stem}{SUFFIX}", manifest)
        except OSError:
            # Without its manifest it is no backup: nobody would ever remove it, and the disk may be full.
            (folder / manifest.dump).unlink()
            raise
        if keep is not None:
            for gone in _remove_old(folder, keep):
                say(f"removed {gone}")
    return manifest, folder / manifest.dump


def _describe(
    name: str,
    now: datetime,
    size_and_hash: tuple[int, str],
    contents: Contents,
    snapshot: Snapshot,
    programs: Programs,
    seal_with: tuple[str, bytes] | None,
) -> Manifest:
    return Manifest(
        format=FORMAT,
        taken_at=now,
        tocsin_version=version("tocsin"),
        server_version=snapshot.server_version,
        program_version=programs.version,
        dump=name,
        size_bytes=size_and_hash[0],
        sha256=size_and_hash[1],
        sealed_with=seal_with[0] if seal_with is not None else None,
        contents=contents,
    )


def _measure(path: Path) -> tuple[int, str]:
    return path.stat().st_size, sha256_of(path)


async def _dump(
    url: str, partial: Path, snapshot: Snapshot, programs: Programs, say: Say, seal_with: tuple[str, bytes] | None
) -> None:
    command = [programs.path("pg_dump"), "--format=custom", f"--snapshot={snapshot.id}", "--verbose", "--no-password"]
    command += [f"--lock-wait-timeout={LOCK_WAIT_MS}", "--schema=public", "--schema=tocsin_private"]

    def tell(table: str) -> None:
        say(f"dumping {table}")

    if seal_with is None:
        await run([*command, f"--file={partial}"], url=url, say=tell)
        return
    with _sealing(partial, *seal_with) as sealer:
        await run(command, url=url, say=tell, write=sealer.write)


@contextmanager
def _sealing(partial: Path, key_id: str, key: bytes) -> Iterator[Sealer]:
    with partial.open("wb") as file:
        sealer = Sealer(file, key_id=key_id, key=key)
        yield sealer
        sealer.close()


def _create(path: Path) -> Path:
    """Make the file before pg_dump does, so that nobody else can read it at any time."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def _finish(partial: Path, final: Path) -> None:
    """Give the file its name once its bytes are on the disk, and put the name on the disk too."""
    _sync(partial)
    partial.rename(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_manifest(path: Path, manifest: Manifest) -> None:
    partial = _create(path.with_name(f".{path.name}.partial"))
    try:
        partial.write_text(manifest.model_dump_json(indent=2) + "\n")
        _finish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # What a killed backup has left: nobody writes here now.
        for left_over in folder.glob(".tocsin-*.partial"):
            left_over.unlink()
        yield
    except BlockingIOError:
        raise FolderBusy(
            f"another backup is being written into {folder}; wait for it, or choose another folder"
        ) from None
    finally:
        os.close(descriptor)


def list_backups(folder: Path) -> list[tuple[Manifest, Path]]:
    """This will return the finished backups of a folder, newest first; what cannot be read is not one."""
    found: list[tuple[Manifest, Path]] = []
    for path in folder.glob(f"tocsin-*{SUFFIX}"):
        try:
            manifest, dump = read_manifest(path)
        except BackupError:
            continue
        if dump.is_file():
            found.append((manifest, dump))
    return sorted(found, key=lambda backup: backup[0].taken_at, reverse=True)


def _remove_old(folder: Path, keep: int) -> list[str]:
    old = list_backups(folder)[max(1, keep) :]
    for _, dump in old:
        # The manifest first: without it the dump is no backup any more.
        dump.with_name(dump.name.removesuffix(".dump") + SUFFIX).unlink()
        dump.unlink()
    return [dump.name for _, dump in old]
