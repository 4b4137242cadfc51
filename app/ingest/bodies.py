"""Reading a request's body within bounds, and undoing its encoding within the same."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body crossed its cap; the rest was not read."""


class ClientGone(Exception):
    """The sender hung up: there is nobody to answer."""


async def read_body(receive: Receive, *, cap_bytes: int, timeout_s: float) -> bytes:
    """This will return the body, at most ``cap_bytes`` of it.

    Raises:
        TooLarge: It is larger; reading stopped with the chunk that crossed the cap.
        TimeoutError: It did not come in time.
        ClientGone: The sender closed the connection.
    """
    message = await receive() if timeout_s <= 0 else await _first(receive, timeout_s)
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if len(body) > cap_bytes:
        raise TooLarge
    if not message.get("more_body", False):
        return body
    async with asyncio.timeout(timeout_s):
        return await _rest(receive, body, cap_bytes)


async def _first(receive: Receive, timeout_s: float) -> MutableMapping[str, Any]:
    # The body mostly came with the headers, and then receive() does not wait: a timer only for what is not there yet.
    async with asyncio.timeout(timeout_s):
        return await receive()


async def _rest(receive: Receive, start: bytes, cap_bytes: int) -> bytes:
    chunks = [start]
    size_bytes = len(start)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > cap_bytes:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def gunzip(body: bytes, *, cap_bytes: int) -> bytes:
    """This will decompress one gzip member, never producing more than one byte over the cap.

    Raises:
        TooLarge: What is inside is larger.
        ValueError: It is no gzip, is cut short, or something follows it.
    """
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(body, cap_bytes + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(plain) > cap_bytes:
        raise TooLarge
    if not inflater.eof or inflater.unused_data:
        raise ValueError("no whole gzip member")
    return plain
