"""Connecting to the judged address and to no other, beneath the HTTP client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import httpcore
import httpx

from app.net.egress import EgressPolicy, Reach, is_address, judge_url

Resolver = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """This will return the addresses of ``host`` by the system's resolver, in its order; none if unknown."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:  # unknown name, no name server, no descriptor left: in each case there is no address
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, judges every address, and dials one that was judged.

    The pool above keeps the name for TLS and the Host header; only the TCP connection sees the address.
    """

    def __init__(self, policy: EgressPolicy, reach: Reach, resolver: Resolver) -> None:
        self._policy = policy
        self._reach = reach
        self._resolver = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """This will connect to the first judged address that answers.

        Raises:
            EgressRefused: One of the addresses may not be called.
            httpcore.ConnectError: None of them answers.
            httpcore.ConnectTimeout: ``timeout`` seconds passed, name look-up included.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(host, port, socket_options)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None

    async def _connect(
        self, host: str, port: int, socket_options: Iterable[httpcore.SOCKET_OPTION] | None
    ) -> httpcore.AsyncNetworkStream:
        found = [host] if is_address(host) else await self._resolver(host, port)
        if not found:
            raise httpcore.ConnectError("the name does not resolve")
        failure: httpcore.ConnectError | None = None
        for address in self._policy.judge_addresses(host, port, found, self._reach):
            try:
                return await self._inner.connect_tcp(address, port, None, None, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("local sockets are not called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    """The response's bytes as they come; closing it gives the connection back."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx over a pool whose every connection was judged; each request's URL is judged as well."""

    def __init__(
        self, policy: EgressPolicy, reach: Reach, *, resolver: Resolver, tls: ssl.SSLContext, max_connections: int
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=max_connections,
            max_keepalive_connections=max_connections // 2,
            keepalive_expiry=15.0,
            network_backend=PinnedBackend(policy, reach, resolver),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """This will send ``request``; failures are httpcore's, the caller turns them into ours."""
        judge_url(request.url)
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
