"""The frame around FastAPI: request id, span, metrics, one log line, caps on size and time, security headers.

Plain ASGI on purpose: it runs for every request and must not buffer bodies or build request objects.
"""

from __future__ import annotations

import asyncio
import re
import time
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core.ids import new_id
from app.http.problem import frame_problem, unexpected
from app.observability.metrics import counter, histogram
from app.observability.tracing import MAX_TRACEPARENT, new_root

log = structlog.get_logger(__name__)

REQUESTS = counter(
    "tocsin_http_requests_total", "Requests by route template, method and status.", ("route", "method", "status")
)
DURATION = histogram(
    "tocsin_http_request_duration_seconds", "Seconds to answer, by route template.", ("route", "method")
)

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked every few seconds by machines; a line each would drown the rest.
_QUIET = frozenset({"/healthz", "/readyz", "/health", "/health/db", "/health/queue"})

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
_DATA_ONLY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Frame:
    """Wraps the application.

    Args:
        app: FastAPI.
        max_body_bytes: Bodies above it are refused as soon as that is known.
        timeout_s: Time until the answer must begin; what streams after that may take as long as it wants.
        https_only: True tells browsers to come back over https only.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, timeout_s: float, https_only: bool = False) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        self._headers = (*SECURITY_HEADERS, _HSTS) if https_only else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        scope["tocsin.request_id"] = request_id
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        answer = Answer(send, request_id, self._headers)
        foreign = headers.get(b"traceparent", b"")[: MAX_TRACEPARENT + 1].decode("latin-1")
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        with new_root(f"{method} request", link_to=foreign) as span:
            try:
                await self._bounded(scope, receive, answer, headers)
            except Exception:
                log.exception("request.crashed")
                await answer.instead(unexpected(request_id), scope, receive)
            route = _route(scope)
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": answer.status, **_tenant(scope)})
            _record(route, method, answer.status, time.perf_counter() - started)

    async def _bounded(self, scope: Scope, receive: Receive, answer: Answer, headers: dict[bytes, bytes]) -> None:
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await answer.instead(frame_problem(refusal, request_id=answer.request_id), scope, receive)
            return
        expected = b"content-length" in headers or b"transfer-encoding" in headers
        body = _Body(receive, self._max_body_bytes, complete=not expected)
        try:
            async with asyncio.timeout(self._timeout_s) as patience:
                answer.on_start = lambda: None if patience.expired() else patience.reschedule(None)
                await self._app(scope, body.receive, answer.send)
        except TimeoutError:
            if not patience.expired():
                raise
            status = 503 if body.complete else 408
            await answer.instead(frame_problem(status, request_id=answer.request_id), scope, receive)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> int | None:
        if headers_too_large(scope):
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return None


def headers_too_large(scope: Scope) -> bool:
    """This will tell whether a request has more headers than any honest one; the server itself sets no bound."""
    headers = scope["headers"]
    return len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES


class Answer:
    """Watches what is sent, and can answer in the application's place as long as nothing was."""

    def __init__(self, send: Send, request_id: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._headers = headers
        self._started = False
        self.request_id = request_id
        self.status = 500
        self.on_start = _nothing

    async def send(self, message: Message) -> None:
        """This will pass a message on, with the frame's headers on the first."""
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            self.on_start()
            own = list(message.get("headers", ()))
            present = {name.lower() for name, _ in own}
            wanted = (*self._headers, _DATA_ONLY) if _is_data(own) else self._headers
            own += [header for header in wanted if header[0] not in present]
            message = {**message, "headers": [*own, (b"x-request-id", self.request_id.encode())]}
        await self._send(message)

    async def instead(self, response: ASGIApp, scope: Scope, receive: Receive) -> None:
        """This will send the response, unless one was begun."""
        if not self._started:
            await response(scope, receive, self.send)


class _Body:
    """Counts the body while it is read."""

    def __init__(self, receive: Receive, limit: int, *, complete: bool) -> None:
        self._receive = receive
        self._limit = limit
        self._taken = 0
        self.complete = complete

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        self.complete = self.complete or not message.get("more_body", False)
        if self._taken > self._limit:
            # The framework lets its own exception pass through where it would turn any other into a 400.
            raise HTTPException(413, f"at most {self._limit} bytes are accepted here")
        return message


def _record(route: str, method: str, status: int, elapsed: float) -> None:
    REQUESTS.labels(route, method, str(status)).inc()
    DURATION.labels(route, method).observe(elapsed)
    say = log.debug if route in _QUIET and status < 500 else log.info
    say("request.done", route=route, method=method, status=status, duration_s=round(elapsed, 5))


def _nothing() -> None:
    return None


def _is_data(headers: list[tuple[bytes, bytes]]) -> bool:
    """True where a browser must not render the body: for JSON and for nothing at all, not for pages."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    return not kinds or b"json" in kinds[0]


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else new_id().hex


def _tenant(scope: Scope) -> dict[str, str]:
    tenant_id = scope.get("state", {}).get("tenant_id")
    return {"tenant_id": tenant_id} if tenant_id is not None else {}


def _route(scope: Scope) -> str:
    """The route's template: a label, so never the path itself."""
    return str(getattr(scope.get("route"), "path", "unmatched"))
