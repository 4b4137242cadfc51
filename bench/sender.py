"""Posting a given list of requests once each, over a few keep-alive connections, and timing every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request: status, body, and seconds until it was there."""

    status: int
    body: bytes
    seconds: float


class Connection:
    """One keep-alive connection to the loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> Answer:
        """This will send one request and wait for its answer."""
        started = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        return Answer(int(head[9:12]), body, time.perf_counter() - started)


async def send_all(port: int, requests: Sequence[bytes], *, connections: int) -> list[Answer]:
    """This will send each request once, in order of the list, and ask again (as senders do) where the answer was 503."""
    answers: list[Answer] = []
    following = iter(requests)

    async def work() -> None:
        async with Connection(port) as connection:
            for request in following:
                answer = await connection.send(request)
                while answer.status == 503:
                    await asyncio.sleep(0.2)
                    answer = await connection.send(request)
                answers.append(answer)

    await asyncio.gather(*(work() for _ in range(connections)))
    return answers
