"""PostgreSQL's own programs: where they are, and running them without a secret on the command line."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL, make_url

from app.operations.backup.errors import ProgramFailed, ProgramMissing

Say = Callable[[str], None]
S = TypeVar("S")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)[.\w]*")
_LIBPQ_OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "ssl": "PGSSLMODE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}
_DEBIAN = Path("/usr/lib/postgresql")
_TAIL_CHARACTERS = 3000
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Programs:
    """A folder with pg_dump, pg_restore and psql of one version."""

    folder: Path
    major: int
    version: str

    def path(self, name: str) -> str:
        return str(self.folder / name)


async def find_programs(server_major: int, folders: Sequence[Path]) -> Programs:
    """This will find the programs that fit the server best: its own version, or else the next newer one.

    Args:
        server_major: 18 for PostgreSQL 18.
        folders: Where to look first; then PATH and Debian's folders.

    Raises:
        ProgramMissing: There is none that may talk to this server: pg_dump refuses a newer server than itself.
    """
    places = [*folders, *_installed()]
    found = [programs for place in dict.fromkeys(places) if (programs := await _look(place)) is not None]
    fitting = sorted((p for p in found if p.major >= server_major), key=lambda p: p.major)
    if not fitting:
        seen = ", ".join(f"{p.version} in {p.folder}" for p in found) or "none"
        raise ProgramMissing(
            f"the server is PostgreSQL {server_major} and needs pg_dump, pg_restore and psql of that version or newer; "
            f"found: {seen}. Install postgresql-client-{server_major}, or give their folder with --pg-bin."
        )
    return fitting[0]


def _installed() -> list[Path]:
    found = shutil.which("pg_dump")
    on_path = [Path(found).resolve().parent] if found is not None else []
    return [*on_path, *sorted(_DEBIAN.glob("*/bin"))]


async def _look(folder: Path) -> Programs | None:
    if not all((folder / name).is_file() for name in ("pg_dump", "pg_restore", "psql")):
        return None
    process = await asyncio.create_subprocess_exec(
        str(folder / "pg_dump"), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    answer, _ = await process.communicate()
    match = _VERSION.search(answer.decode(errors="replace"))
    return Programs(folder, int(match.group(1)), match.group(0).split()[1]) if match is not None else None


def libpq_environment(url: str) -> dict[str, str]:
    """This will put a SQLAlchemy URL into libpq's environment variables: a password in arguments is seen by everybody."""
    parsed: URL = make_url(url)
    values = {
        "PGHOST": parsed.host,
        "PGPORT": str(parsed.port) if parsed.port is not None else None,
        "PGUSER": parsed.username,
        "PGPASSWORD": parsed.password,
        "PGDATABASE": parsed.database,
        "PGAPPNAME": "tocsin-backup",
        "PGCONNECT_TIMEOUT": "10",
    }
    for name, value in parsed.query.items():
        if name in _LIBPQ_OPTIONS and isinstance(value, str):
            values[_LIBPQ_OPTIONS[name]] = value
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {name: value for name, value in values.items() if value is not None}


async def run(command: Sequence[str], *, url: str, say: Say, write: Callable[[bytes], object] | None = None) -> None:
    """This will run a program to its end; its output goes to ``write``, its messages to ``say`` line by line.

    Raises:
        ProgramFailed: It ended with an error.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=libpq_environment(url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        listener = asyncio.create_task(listen(process, say))
        while chunk := await piped(process.stdout).read(_CHUNK_BYTES):
            if write is not None:
                await asyncio.to_thread(write, chunk)
        tail, code = await listener, await process.wait()
    except BaseException:
        await end(process)
        raise
    if code != 0:
        raise ProgramFailed(f"{Path(command[0]).name} failed:\n{tail}")


async def listen(process: asyncio.subprocess.Process, say: Say | None) -> str:
    """This will pass on what a program says of its progress, and return the end of what it said otherwise."""
    tail = ""
    async for raw in piped(process.stderr):
        line = raw.decode(errors="replace").rstrip()
        progress = re.search(r"(?:dumping contents of|processing data for) table \"(?:public\.)?([^\"]+)\"", line)
        if progress is not None and say is not None:
            say(progress.group(1))
        elif progress is None and not re.match(r"pg_\w+: (?!error|warning|detail|hint)", line):
            tail = f"{tail}{line}\n"[-_TAIL_CHARACTERS:]
    return tail


def piped(stream: S | None) -> S:
    """This will return a stream that was asked for with PIPE; only without that could it be missing."""
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


async def end(process: asyncio.subprocess.Process) -> None:
    """This will end a program that is not wanted any more; one that has ended already is left alone."""
    if process.returncode is None:
        process.kill()
        await process.wait()
    # What it wrote and nobody read would keep the pipe open, and the transport with it.
    if process.stdout is not None:
        while await process.stdout.read(_CHUNK_BYTES):
            pass
