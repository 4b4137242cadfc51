"""Doors in front of the tests' databases, and what else may stand where a target leads."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Trap:
    """What a test knows of a place that must not be dialled."""

    port: int = 0
    connections: int = 0


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.CancelledError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_front(port: int, context: ssl.SSLContext, *, upgraded: bool = False) -> AsyncIterator[int]:
    """A door with TLS on a free port, before a server that has none; PostgreSQL's is ``upgraded`` on request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if upgraded:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(context)
            to_server = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, to_server[1]), _copy(to_server[0], writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if upgraded else context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def trap(port: int, *, address: str) -> AsyncIterator[Trap]:
    """What must not be dialled: it counts who does, and hangs up."""
    seen = Trap()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        writer.close()

    server = await asyncio.start_server(serve, address, port)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()


@asynccontextmanager
async def saying(first: bytes) -> AsyncIterator[int]:
    """A service of another kind: it says its line, whoever calls and whatever for, and waits."""
    done = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(first)
            await writer.drain()
            await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()


class Fickle:
    """A name whose every look-up by this process answers as the test says, the last answer for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, *answers: str) -> None:
        self.asked = 0
        real = socket.getaddrinfo

        def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in (name, name.encode()):
                return real(host, port, *args, **kwargs)
            self.asked += 1
            return real(answers[min(self.asked, len(answers)) - 1], port, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
