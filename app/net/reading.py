"""Reading an answer within a cap, before and after decompression."""

from __future__ import annotations

import zlib
from typing import Final

import httpx

from app.net.errors import OutboundError, ResponseTooLarge

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """This will read the whole answer.

    We ask for no compression; a server that compresses all the same is understood if it uses gzip or
    deflate, and inflated no further than the cap: a kilobyte can hold a megabyte.

    Raises:
        ResponseTooLarge: More than ``max_bytes``, compressed or not.
        OutboundError: A compression we do not know, or a broken one.
    """
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > max_bytes:
        raise ResponseTooLarge(f"the answer announces more than {max_bytes} bytes", sent=True)
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > max_bytes:
            raise ResponseTooLarge(f"the answer has more than {max_bytes} bytes", sent=True)
        parts.append(part)
    return _inflate(b"".join(parts), response.headers.get("content-encoding", "identity"), max_bytes)


def _inflate(raw: bytes, coding: str, max_bytes: int) -> bytes:
    name = coding.strip().lower()
    if name in {"", "identity"} or not raw:
        return raw
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise OutboundError("the answer has a compression that was not asked for", sent=True)
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(raw, max_bytes + 1)
    except zlib.error:
        raise OutboundError("the answer's compression is broken", sent=True) from None
    if len(plain) > max_bytes:
        raise ResponseTooLarge(f"the answer inflates to more than {max_bytes} bytes", sent=True)
    return plain
