"""Reading a request's body within bounds, and undoing its encoding within the same."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_GZIP = 16 + zlib.MAX_WBITS
DRAINED_BYTES, DRAINED_S = 4_194_304, 1.0
"""How much of a body that was refused is read on, and for how long, so that the sender hears why."""


class TooLarge(Exception):
    """The body crossed its cap; the rest was not read."""


class Crowded(Exception):
    """Too much is arriving at once; this body was not waited for."""


class ClientGone(Exception):
    """The sender hung up: there is nobody to answer."""


class Arriving:
    """The bytes of bodies that are still arriving, of all requests of the process together.

    Without a bound on their sum, a few hundred slow senders of large bodies could each stay under their own cap and take
    the whole memory. A body that comes with its headers is not counted: small senders are served throughout.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """This will count bytes that have come.

        Raises:
            Crowded: They do not fit; they are not counted.
        """
        if self._held_bytes + size_bytes > self._limit_bytes:
            raise Crowded
        self._held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """This will forget bytes of a body that is complete or given up."""
        self._held_bytes -= size_bytes


async def read_body(receive: Receive, *, cap_bytes: int, timeout_s: float, arriving: Arriving) -> bytes:
    """This will return the body, at most ``cap_bytes`` of it.

    Raises:
        Crowded: It came in parts, and other bodies on their way leave no room for it.
        TooLarge: It is larger; reading stopped with the chunk that crossed the cap.
        TimeoutError: It did not come in time.
        ClientGone: The sender closed the connection.
    """
    message = await _first(receive, timeout_s)
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if len(body) > cap_bytes:
        raise TooLarge
    if not message.get("more_body", False):
        return body
    async with asyncio.timeout(timeout_s):
        return await _rest(receive, body, cap_bytes, arriving)


async def _first(receive: Receive, timeout_s: float) -> Message:
    """Take the first message, with a timer only if it has to be waited for.

    A small body mostly came with the headers, so ``receive()`` returns without waiting; a timer for each request would
    cost a twentieth of the route's time.
    """
    steps = receive().__await__()
    try:
        awaited = next(steps)
    except StopIteration as finished:
        message: Message = finished.value
        return message
    async with asyncio.timeout(timeout_s):
        return await _Resumed(steps, awaited)


class _Resumed:
    """The rest of an awaitable that was started by hand and is now waiting for ``awaited``."""

    def __init__(self, steps: Generator[Any, Any, Message], awaited: Any) -> None:
        self._steps = steps
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._awaited
        except BaseException as error:  # noqa: BLE001 - not handled here, handed on
            # A cancellation belongs to the one who waits inside; should that one go on, so do we.
            yield self._steps.throw(error)
        return (yield from self._steps)


async def _rest(receive: Receive, start: bytes, cap_bytes: int, arriving: Arriving) -> bytes:
    chunks: list[bytes] = []
    size_bytes = 0
    chunk, more = start, True
    try:
        while True:
            if size_bytes + len(chunk) > cap_bytes:
                raise TooLarge
            arriving.take(len(chunk))
            size_bytes += len(chunk)
            chunks.append(chunk)
            if not more:
                return b"".join(chunks)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk, more = message.get("body", b""), message.get("more_body", False)
    finally:
        arriving.give_back(size_bytes)


class Drains:
    """Reads on after a refusal, so that whoever is still sending hears why. It keeps nothing.

    Args:
        at_once: Beyond so many senders nothing is read: a flood must cost less than what it asks for.
    """

    def __init__(self, at_once: int = 32) -> None:
        self._left = at_once

    async def drain(self, receive: Receive) -> None:
        """This will read until the body ends, the sender hangs up, or it has been enough."""
        if self._left <= 0:
            return
        self._left -= 1
        try:
            async with asyncio.timeout(DRAINED_S):
                await _discard(receive)
        except TimeoutError:
            pass
        finally:
            self._left += 1


async def _discard(receive: Receive) -> None:
    left = DRAINED_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


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
