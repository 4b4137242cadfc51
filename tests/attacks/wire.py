"""Speaking HTTP by hand to the real server: what no client library would send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE_S = 10.0


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Wire:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, data: bytes) -> None:
        """This will send bytes as they are; a server that has hung up is no failure of the attack."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def everything(self) -> bytes:
        """This will read until the server closes.

        Raises:
            TimeoutError: It does not.
        """
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                return await self._reader.read()
            return b""

    async def head(self) -> bytes:
        """This will read one response's head; empty where the server hung up instead."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                return await self._reader.readuntil(b"\r\n\r\n")
            return b""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def exchange(url: str, data: bytes, *, half_close: bool = False) -> bytes:
    """This will send the bytes on a connection of their own and return everything that comes back."""
    wire = await Wire.open(url)
    try:
        await wire.send(data)
        if half_close and wire._writer.can_write_eof():
            wire._writer.write_eof()
        return await wire.everything()
    finally:
        await wire.close()


def request(path: str, headers: Sequence[str], body: bytes = b"", *, method: str = "POST") -> bytes:
    """A request as text; nothing is added but the host."""
    lines = [f"{method} {path} HTTP/1.1", "host: tocsin.test", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def statuses(answer: bytes) -> list[int]:
    """The statuses of the responses in what a server sent, one after the other."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
