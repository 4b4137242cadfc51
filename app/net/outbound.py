"""The only way out over HTTP: guarded, bounded in time and bytes, seen in a span and a metric."""

from __future__ import annotations

import asyncio
import re
import ssl
from asyncio import Semaphore
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import certifi
import httpcore
import httpx
import orjson

from app.net.dialer import GuardedTransport, Resolver, resolve
from app.net.egress import EgressPolicy, Reach, judge_url, parse_url
from app.net.errors import EgressRefused, OutboundError, OutboundTimeout, ResponseTooLarge
from app.net.observed import METHODS, observed
from app.net.reading import read_body
from app.observability.tracing import current_traceparent
from app.settings.security import SecuritySettings

__all__ = [
    "EgressRefused",
    "OutboundError",
    "OutboundHttp",
    "OutboundResponse",
    "OutboundTimeout",
    "ResponseTooLarge",
]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_MAX_REDIRECTS: Final = 3
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]{0,8192}")
# What says where a request ends and whose it is; the connection itself sets them.
_OURS: Final = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"proxy-authorization", "proxy-connection"}
)
_FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
    ssl.SSLError,
)


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """An answer, read to its end.

    Attributes:
        headers: Case-insensitive; repeated ones joined by commas.
        body: Decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> object:
        """This will parse the body.

        Raises:
            OutboundError: It is no JSON.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise OutboundError("the answer is not JSON", sent=True) from None


class _Progress:
    """Whether the first byte of the request may be out; told by the connection itself."""

    def __init__(self) -> None:
        self.sent = False

    async def __call__(self, event: str, _info: object) -> None:
        # The ".started" event comes before the bytes are written: later would be a lie after a crash between.
        if event.endswith("send_request_headers.started"):
            self.sent = True


class OutboundHttp:
    """One per process, shared by everything that calls out; close it with ``aclose``."""

    def __init__(self, settings: SecuritySettings, *, resolver: Resolver = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        self._policy = EgressPolicy(settings.egress_allow)
        self._transports: dict[Reach, GuardedTransport] = {}
        self._gates: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()
        self._tls: ssl.SSLContext | None = None

    @staticmethod
    def check_url(url: str) -> None:
        """This will refuse a URL that can never be called, when it is configured; addresses are judged at dial.

        Raises:
            EgressRefused: Its form is refused, see ``parse_url``.
        """
        parse_url(url)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: object = None,
        timeout_s: float,
        max_bytes: int | None = None,
        follow: bool = False,
        allow_private: bool | None = None,
        propagate: bool = False,
    ) -> OutboundResponse:
        """This will call ``url`` and read the answer to its end; any status is an answer.

        Args:
            timeout_s: Seconds for everything: queueing, name look-up, connection, request, whole answer.
            max_bytes: Cap of the answer, before and after decompression; None takes the setting's.
            follow: Follow up to three redirects of a GET or HEAD, within the same origin.
            allow_private: None: public addresses and the operator's allow-list. False: public only. True: private
                networks too, for URLs that the operator wrote; never metadata services.
            propagate: Send our trace context; for our own services only, it tells a stranger our ids.

        Raises:
            EgressRefused: The guard said no.
            OutboundTimeout: ``timeout_s`` passed; ``sent`` says whether the request may have arrived.
            ResponseTooLarge: The answer is over the cap.
            OutboundError: No connection, or a broken answer; see ``sent``.
        """
        verb = method.upper()
        with observed(verb) as seen:
            target = parse_url(url)
            host, port = judge_url(target)
            seen.describe(host, port)
            if follow and verb not in _SAFE_METHODS:
                raise OutboundError("only GET and HEAD follow redirects")
            request = httpx.Request(
                verb,
                target,
                headers=_request_headers(verb, headers, has_json=json is not None, propagate=propagate),
                content=orjson.dumps(json) if json is not None else content,
            )
            cap = max_bytes if max_bytes is not None else self._settings.egress_max_response_bytes
            response = await self._bounded(request, host, _reach(allow_private), timeout_s, cap, follow=follow)
            seen.answered(response.status)
            return response

    async def aclose(self) -> None:
        """This will close every connection."""
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            await transport.aclose()

    async def _bounded(
        self, request: httpx.Request, host: str, reach: Reach, timeout_s: float, cap: int, *, follow: bool
    ) -> OutboundResponse:
        """This will run the exchange inside its time and turn the client's failures into ours."""
        progress = _Progress()
        connect_s = min(timeout_s, self._settings.egress_connect_timeout_s)
        request.extensions = {"trace": progress, "timeout": {"connect": connect_s}}
        try:
            async with asyncio.timeout(timeout_s), self._gate(host):
                return await self._exchange(request, self._transport(reach), cap, follow=follow)
        except (TimeoutError, httpcore.TimeoutException):
            raise OutboundTimeout(f"no answer within {timeout_s:g} s", sent=progress.sent) from None
        except _FAILURES as error:
            # The client's own text may hold addresses and parts of the answer.
            detail = "the connection broke" if progress.sent else "no connection"
            raise OutboundError(detail, sent=progress.sent) from error

    async def _exchange(
        self, request: httpx.Request, transport: GuardedTransport, cap: int, *, follow: bool
    ) -> OutboundResponse:
        for _ in range(_MAX_REDIRECTS):
            answer, body = await self._send(transport, request, cap)
            onward = _same_origin_redirect(request, answer) if follow else None
            if onward is None:
                return OutboundResponse(answer.status_code, answer.headers, body)
            request = onward
        answer, body = await self._send(transport, request, cap)
        return OutboundResponse(answer.status_code, answer.headers, body)

    @staticmethod
    async def _send(transport: GuardedTransport, request: httpx.Request, cap: int) -> tuple[httpx.Response, bytes]:
        answer = await transport.handle_async_request(request)
        try:
            return answer, await read_body(answer, cap)
        finally:
            await answer.aclose()

    def _gate(self, host: str) -> Semaphore:
        """This will return the turnstile of one host; it goes away with its last user."""
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = Semaphore(self._settings.egress_max_per_host)
        return gate

    def _transport(self, reach: Reach) -> GuardedTransport:
        """This will return the connections of ``reach``: apart, so that no call reuses one it could not open.

        httpx's client is left out on purpose: it logs whole URLs, which hold secrets, keeps every cookie that a
        tenant's server cares to send, and would take a proxy from the environment, around the guard.
        """
        transport = self._transports.get(reach)
        if transport is None:
            transport = self._transports[reach] = GuardedTransport(
                self._policy,
                reach,
                resolver=self._resolver,
                tls=self._tls_context(),
                max_connections=self._settings.egress_max_connections,
            )
        return transport

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=certifi.where())
            if self._settings.egress_ca_file is not None:
                self._tls.load_verify_locations(cafile=self._settings.egress_ca_file)
        return self._tls


def _reach(allow_private: bool | None) -> Reach:
    if allow_private is None:
        return Reach.ALLOWED
    return Reach.PRIVATE if allow_private else Reach.PUBLIC


def _request_headers(verb: str, given: Mapping[str, str] | None, *, has_json: bool, propagate: bool) -> dict[str, str]:
    """This will put the headers together and refuse ones that would break out of their line.

    Raises:
        OutboundError: Not sent: an unknown method, a header with control or non-ASCII characters, or one that is ours.
    """
    if verb not in METHODS:
        raise OutboundError(f"the method is not one of {', '.join(sorted(METHODS))}")
    headers = {"user-agent": "tocsin", "accept": "*/*", "accept-encoding": "identity"}
    if has_json:
        headers["content-type"] = "application/json"
    for name, value in (given or {}).items():
        if _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            raise OutboundError("a request header holds characters that it must not")
        if name.lower() in _OURS:
            raise OutboundError(f"the request header {name.lower()} is not the caller's to set")
        headers[name.lower()] = value
    traceparent = current_traceparent() if propagate else None
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return headers


def _same_origin_redirect(request: httpx.Request, answer: httpx.Response) -> httpx.Request | None:
    """This will return the request for the next hop, None where the answer should be handed over as it is."""
    location = answer.headers.get("location")
    if not answer.has_redirect_location or location is None:
        return None
    try:
        target = parse_url(str(request.url.join(location)))
    except (httpx.InvalidURL, EgressRefused):
        # Not ours to follow, and no reason to say that nothing was sent: the first call was.
        return None
    before = (request.url.scheme, request.url.host, request.url.port)
    if (target.scheme, target.host, target.port) != before:
        return None
    return httpx.Request(request.method, target, headers=request.headers, extensions=request.extensions)
