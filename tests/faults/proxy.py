"""A wire to PostgreSQL that can be cut as a network is: what is sent is dropped, and nobody is told."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from app.embedded.postgres import EmbeddedPostgres

NAME = ".s.PGSQL.5432"


class Wire:
    """Passes bytes on while it is whole.

    Attributes:
        folder: Directory of the socket that clients connect to.
        connections: How many were ever made.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._target = server.placement.sockets / f".s.PGSQL.{server.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="wire-"))
        self.connections = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def url_for(self, role: str, database: str) -> str:
        """This will return a SQLAlchemy URL through the wire."""
        return f"postgresql+asyncpg://{role}@/{database}?host={quote(str(self.folder))}&port=5432"

    def cut(self) -> None:
        """This will let nothing through any more, in either direction; connections stay open."""
        self._whole.clear()

    def mend(self, *, old: bool = True) -> None:
        """This will let bytes through again; ``old=False`` leaves existing connections silent for ever."""
        if not old:
            for task in self._tasks:
                task.cancel()
        self._whole.set()

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.folder / NAME))

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        await self._whole.wait()
        there_reader, there_writer = await asyncio.open_unix_connection(str(self._target))
        self._writers.append(there_writer)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            await self._whole.wait()
            sink.write(chunk)
        sink.close()


@asynccontextmanager
async def open_wire(server: EmbeddedPostgres) -> AsyncIterator[Wire]:
    """This will listen until the block ends."""
    wire = Wire(server)
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()
