"""Reading a mail off the wire: it ends at CR LF dot CR LF and at nothing else, within bounds of lines, bytes and time.

Servers that also end a mail at ``LF . LF`` and the like can be made to see two mails where their neighbour saw one (SMTP
smuggling). Here a bare CR or LF is a character of the line that it stands in.
Source: RFC 5321, sections 2.3.8, 4.1.1.4, 4.5.2 and 4.5.3.1.
"""

from __future__ import annotations

import asyncio

from app.ingest.bodies import Arriving, Crowded

_CRLF = b"\r\n"
_END = b".\r\n"
# Read to their end, so that the sender hears why; beyond this it is cut off.
_DRAINED_BYTES = 33_554_432


class TooMuch(Exception):
    """The mail is larger than announced, or arrives while there is no room.

    Attributes:
        reply: What to answer.
        is_over: Whether the mail was read to its end, so that the connection can go on.
    """

    def __init__(self, reply: str, *, is_over: bool) -> None:
        super().__init__(reply)
        self.reply = reply
        self.is_over = is_over


TOO_LARGE = "552 5.3.4 the mail is larger than this server takes"
LINE_TOO_LONG = "500 5.5.2 a line of the mail is too long"
CROWDED = "452 4.3.1 too much mail arrives at once, try again later"


class MailReader:
    """Reads mails of one connection.

    Args:
        arriving: Counts the bytes of all mails on their way into this process.
    """

    def __init__(self, *, max_bytes: int, arriving: Arriving) -> None:
        self._max_bytes = max_bytes
        self._arriving = arriving

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """This will return a mail after its 354, dots unstuffed.

        Raises:
            TooMuch: Too large, a line too long, or no room.
            asyncio.IncompleteReadError: The sender closed the connection.
        """
        mail = bytearray()
        held = 0
        try:
            while (line := await self._line(reader, len(mail))) != _END:
                stuffed = line[1:] if line[:1] == b"." else line
                if len(mail) + len(stuffed) > self._max_bytes:
                    raise await self._refuse(reader, TOO_LARGE)
                try:
                    self._arriving.take(len(stuffed))
                except Crowded:
                    raise await self._refuse(reader, CROWDED) from None
                held += len(stuffed)
                mail += stuffed
            return bytes(mail)
        finally:
            self._arriving.give_back(held)

    async def _line(self, reader: asyncio.StreamReader, size_bytes: int) -> bytes:
        try:
            return await reader.readuntil(_CRLF)
        except asyncio.LimitOverrunError:
            raise await self._refuse(reader, LINE_TOO_LONG if size_bytes < self._max_bytes else TOO_LARGE) from None

    async def _refuse(self, reader: asyncio.StreamReader, reply: str) -> TooMuch:
        """Read on to the end of the mail, keeping nothing."""
        return TooMuch(reply, is_over=await _drain(reader))


async def _drain(reader: asyncio.StreamReader) -> bool:
    left = _DRAINED_BYTES
    begins_line = True
    while left > 0:
        try:
            line = await reader.readuntil(_CRLF)
        except asyncio.LimitOverrunError as error:
            # Part of a line that is too long; a CR at its end may be the first half of a line end, so it stays.
            left -= len(await reader.readexactly(max(error.consumed, 1)))
            begins_line = False
            continue
        if begins_line and line == _END:
            return True
        left -= len(line)
        begins_line = True
    return False
