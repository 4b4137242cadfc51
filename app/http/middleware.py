"""The outermost ASGI layer: request id, span, metrics, one log line, size cap, time cap, security headers.

Plain ASGI on purpose: it runs for every request and must not buffer bodies or build request objects.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from app.core.ids import new_id
from app.http.problem import problem_response, unexpected
from app.observability.metrics import counter, histogram
from app.observability.tracing import new_root

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger(__name__)

REQUESTS = counter(
    "tocsin_http_requests_total", "Requests by route template, method and status.", ("route", "method", "status")
)
DURATION = histogram(
    "tocsin_http_request_duration_seconds", "Seconds to answer, by route template.", ("route", "method")
)

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class BodyTooLarge(Exception):
    """The body went over the cap while it was read."""


class Frame:
    """Wraps the application.

    Args:
        app: FastAPI.
        max_body_bytes: Bodies above it are refused as soon as that is known.
        timeout_s: Time after which a request is answered 503.
    """

    def __init__(self, app: App, *, max_body_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        scope["tocsin.request_id"] = request_id
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        started = time.perf_counter()
        answer = _Answer(send, request_id)
        foreign = headers.get(b"traceparent", b"")[:64].decode("latin-1")
        with bound_contextvars(request_id=request_id), new_root(f"{method} request", link_to=foreign) as span:
            try:
                await self._bounded(scope, receive, answer, headers)
            except Exception:
                log.exception("request.crashed")
                await answer.instead(unexpected(request_id), scope, receive)
            route = _route(scope)
            elapsed = time.perf_counter() - started
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": answer.status})
            REQUESTS.labels(route, method, str(answer.status)).inc()
            DURATION.labels(route, method).observe(elapsed)
            log.info("request.done", route=route, method=method, status=answer.status, duration_s=round(elapsed, 5))

    async def _bounded(self, scope: Scope, receive: Receive, answer: _Answer, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body_bytes:
            await answer.instead(self._too_large(answer.request_id), scope, receive)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._app(scope, _capped(receive, self._max_body_bytes), answer.send)
        except BodyTooLarge:
            await answer.instead(self._too_large(answer.request_id), scope, receive)
        except TimeoutError:
            await answer.instead(self._too_slow(answer.request_id), scope, receive)

    def _too_large(self, request_id: str) -> App:
        return problem_response(
            status=413,
            code="payload_too_large",
            title="The body is too large",
            detail=f"at most {self._max_body_bytes} bytes are accepted here",
            request_id=request_id,
        )

    def _too_slow(self, request_id: str) -> App:
        return problem_response(
            status=503,
            code="unavailable.timeout",
            title="The request took too long",
            hint="Retry after the number of seconds in Retry-After.",
            request_id=request_id,
            headers={"Retry-After": "1"},
        )


class _Answer:
    """Watches what is sent, and can answer in the application's place as long as nothing was."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._started = False
        self.request_id = request_id
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            present = {name for name, _ in message.get("headers", ())}
            extra = [header for header in SECURITY_HEADERS if header[0] not in present]
            message["headers"] = [*message.get("headers", ()), *extra, (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def instead(self, response: App, scope: Scope, receive: Receive) -> None:
        if not self._started:
            await response(scope, receive, self.send)


def _capped(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise BodyTooLarge
        return message

    return limited


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else new_id().hex


def _route(scope: Scope) -> str:
    """The route's template: a label, so never the path itself."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
