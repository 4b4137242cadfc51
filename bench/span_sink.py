"""Takes OTLP exports and forgets them: ``python -m bench.span_sink PORT``."""

from __future__ import annotations

import asyncio
import sys


class Sink(asyncio.Protocol):
    """Answers each complete request with an empty 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if not separator or len(rest) < length:
                return
            self._buffer = rest[length:]
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")  # type: ignore[attr-defined]


async def main() -> None:
    """This will serve until it is stopped."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
