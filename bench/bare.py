"""The limit that the intake is measured against: verify the HMAC, parse the body, answer. Nothing is stored."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

SECRET = base64.b64decode(os.environ["BENCH_SECRET"])


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The whole application; run it as ``uvicorn bench.bare:app --lifespan off``."""
    body: bytes = (await receive()).get("body", b"")
    headers = dict(scope["headers"])
    signed = b"%b.%b.%b" % (headers[b"webhook-id"], headers[b"webhook-timestamp"], body)
    expected = b"v1," + base64.b64encode(hmac.digest(SECRET, signed, "sha256"))
    ok = hmac.compare_digest(expected, headers[b"webhook-signature"]) and orjson.loads(body)
    await send({"type": "http.response.start", "status": 202 if ok else 401, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
