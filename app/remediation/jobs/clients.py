"""What actions get to reach the outside: each as strong as its kind of action may be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.net.dialer import resolve
from app.net.egress import EgressPolicy, Reach, is_address
from app.net.outbound import EgressRefused, OutboundError, OutboundHttp
from app.remediation.contract import HttpAnswer, Unreachable


class GuardedReadHttp:
    """GET and nothing else."""

    def __init__(self, http: OutboundHttp) -> None:
        self._http = http

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> HttpAnswer:
        return await _call(self._http, "GET", url, headers=headers, json=None, timeout_s=timeout_s, max_bytes=max_bytes)


class GuardedWriteHttp:
    """Any method. Made only for an act whose intent is about to be written."""

    def __init__(self, http: OutboundHttp) -> None:
        self._http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        json: Any,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        return await _call(
            self._http, method, url, headers=headers, json=json, timeout_s=timeout_s, max_bytes=max_bytes
        )


class GuardedResolver:
    """Judges the addresses of database and Redis hosts by the same policy as those of HTTP."""

    def __init__(self, egress_allow: list[str], *, timeout_s: float) -> None:
        self._policy = EgressPolicy(egress_allow)
        self._timeout_s = timeout_s

    async def pin(self, host: str, port: int) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                found = [host] if is_address(host) else await resolve(host, port)
            return self._policy.judge_addresses(host, port, found, Reach.ALLOWED)[0]
        except EgressRefused as error:
            raise Unreachable(error.detail, sent=False) from error
        except TimeoutError:
            raise Unreachable(f"{host} could not be looked up in time", sent=False) from None


async def _call(
    http: OutboundHttp,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    json: Any,
    timeout_s: float,
    max_bytes: int,
) -> HttpAnswer:
    try:
        answer = await http.request(method, url, headers=headers, json=json, timeout_s=timeout_s, max_bytes=max_bytes)
    except OutboundError as error:
        raise Unreachable(error.detail, sent=error.sent) from error
    return HttpAnswer(answer.status, answer.body)
