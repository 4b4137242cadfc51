"""Reading a dump with pg_restore, sealed or plain: a sealed one is opened on its way in and never lies open on a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.operations.backup.errors import ProgramFailed
from app.operations.backup.manifest import Manifest
from app.operations.backup.programs import Programs, end, listen, piped
from app.operations.backup.sealing import open_sealed


@dataclass(frozen=True)
class Dump:
    """A dump on disk and what it takes to read it.

    Attributes:
        keys: Encryption keys by id; only a sealed dump needs one.
    """

    path: Path
    sealed: bool
    keys: Mapping[str, bytes]

    @classmethod
    def of(cls, manifest: Manifest, path: Path, keys: Mapping[str, bytes] | None) -> Dump:
        """This will describe a backup's dump."""
        return cls(path, manifest.sealed_with is not None, keys or {})

    def check_key(self) -> None:
        """This will open the first chunk of a sealed dump.

        Raises:
            BackupError: The key is missing, or another one.
        """
        if self.sealed:
            next(open_sealed(self.path, self.keys), b"")

    async def start(
        self, programs: Programs, arguments: Sequence[str]
    ) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        """This will start pg_restore on the dump, and what feeds it."""
        process = await asyncio.create_subprocess_exec(
            programs.path("pg_restore"),
            *arguments,
            *([] if self.sealed else [str(self.path)]),
            stdin=asyncio.subprocess.PIPE if self.sealed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        chunks = open_sealed(self.path, self.keys) if self.sealed else iter(())
        return process, asyncio.create_task(_feed(process, chunks))

    async def table_of_contents(self, programs: Programs) -> list[str]:
        """This will list what is in the dump, a line each.

        Raises:
            ProgramFailed: It cannot be read.
        """
        process, feeding = await self.start(programs, ["--list"])
        try:
            listener = asyncio.create_task(listen(process, None))
            output = await piped(process.stdout).read()
            tail, code = await listener, await process.wait()
            await feeding
        finally:
            feeding.cancel()
            await end(process)
        if code != 0:
            raise ProgramFailed(f"pg_restore cannot read {self.path}:\n{tail}")
        return output.decode().splitlines()


async def _feed(process: asyncio.subprocess.Process, chunks: Iterator[bytes]) -> None:
    if process.stdin is None:
        return
    # A reader that needs no more goes away; what it made of it is in its exit status.
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                process.stdin.write(chunk)
                await process.stdin.drain()
        finally:
            process.stdin.close()
