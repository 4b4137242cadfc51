"""B01, B02, B21, B31: lengths that lie, bodies without end, senders without haste; against the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.auth.rules import Role
from app.ingest.bodies import Arriving, Crowded, read_body
from app.settings import Settings
from tests.attacks.target import Target
from tests.attacks.wire import PATIENCE_S, Wire, exchange, request, statuses
from tests.factories.ingest import alert_body
from tests.fixtures.database import PostgresServer
from tests.fixtures.process import make_settings
from tests.fixtures.servicedesk import serve
from tests.fixtures.wait import wait_until

BODY = alert_body(title="Disk full")
SLOW_S = 0.5


@pytest.fixture
def settings(postgres: PostgresServer, database_name: str, redis_url: str) -> Settings:
    """Little patience and little room, so that running out of either takes no minutes."""
    made = make_settings(postgres, database_name, redis_url)
    small = {"body_timeout_s": SLOW_S, "max_inflight_bytes": 4_194_304, "refusal_flush_s": 0.0, "commit_wait_s": 10.0}
    quick = {"request_timeout_s": SLOW_S}
    return made.model_copy(
        update={"ingest": made.ingest.model_copy(update=small), "http": made.http.model_copy(update=quick)}
    )


@pytest.fixture
async def url(target: Target) -> AsyncIterator[str]:
    """The application behind the server that production runs."""
    async with serve(target.application) as base:
        yield base


def lines(target: Target, body: bytes = BODY, *more: str) -> list[str]:
    return [*(f"{name}: {value!s}" for name, value in target.signed(body).items()), *more]


async def assert_alive(target: Target, url: str) -> None:
    body = alert_body(title="still served")
    answer = await exchange(
        url,
        request(target.source.url_path, lines(target, body, f"content-length: {len(body)}", "connection: close"), body),
    )
    assert statuses(answer)[0] == 202


@pytest.mark.attack("B01")
async def test_a_body_at_the_limit_and_one_over(target: Target, url: str) -> None:
    body = b'{"title":"' + b"x" * (1_048_576 - 12) + b'"}'
    assert len(body) == 1_048_576
    headers = lines(target, body, f"content-length: {len(body)}", "connection: close")
    assert statuses(await exchange(url, request(target.source.url_path, headers, body))) == [202]
    # One more is answered before any of it is sent.
    wire = await Wire.open(url)
    await wire.send(request(target.source.url_path, lines(target, body, f"content-length: {len(body) + 1}")))
    assert (await wire.head()).startswith(b"HTTP/1.1 413")
    await wire.close()


@pytest.mark.attack("B01")
async def test_a_body_without_length_and_without_end(target: Target, url: str) -> None:
    """The sender hears why although it is still sending, and is cut off if it goes on all the same."""
    wire = await Wire.open(url)
    await wire.send(request(target.source.url_path, lines(target, BODY, "transfer-encoding: chunked")))

    async def pour() -> None:
        with suppress(ConnectionError):
            while True:
                wire._writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await wire._writer.drain()

    pouring = asyncio.create_task(pour())
    head = await wire.head()
    await asyncio.wait_for(pouring, PATIENCE_S)
    await wire.close()
    assert head.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in head.lower()
    assert await target.deliveries() == []
    await assert_alive(target, url)


@pytest.mark.attack("B01", "B21")
async def test_what_is_arriving_is_bounded_in_sum() -> None:
    """Each under its own cap, together over the process's: the one that comes last is not waited for."""
    arriving = Arriving(100)
    gate = asyncio.Event()

    def sender(parts: list[bytes]) -> Any:
        async def receive() -> dict[str, Any]:
            if len(parts) == 1:
                await gate.wait()
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        return receive

    slow = asyncio.create_task(
        read_body(sender([b"x" * 40, b"y" * 40, b"z"]), cap_bytes=90, timeout_s=5, arriving=arriving)
    )
    await wait_until(lambda: arriving._held_bytes == 80, what="the slow body has mostly come")
    with pytest.raises(Crowded):
        await read_body(sender([b"x" * 21, b"", b""]), cap_bytes=90, timeout_s=5, arriving=arriving)
    gate.set()
    at_once = await read_body(sender([b"x" * 90]), cap_bytes=90, timeout_s=5, arriving=Arriving(0))
    assert len(at_once) == 90, "a body that comes with its headers waits for nobody"
    assert len(await slow) == 81
    assert arriving._held_bytes == 0, "room that is not given back is lost for ever"


LIES = {
    "negative": ["content-length: -1"],
    "two values": ["content-length: 5", "content-length: 6"],
    "a list": ["content-length: 5, 6"],
    "no number": ["content-length: five"],
    "hexadecimal": ["content-length: 0x5"],
    "too large for anybody": ["content-length: 99999999999999999999999"],
    "length and chunks": ["content-length: 5", "transfer-encoding: chunked"],
    "chunks and length": ["transfer-encoding: chunked", "content-length: 5"],
    "an unknown coding last": ["transfer-encoding: chunked, cow"],
    "a broken chunk": ["transfer-encoding: chunked"],
}


@pytest.mark.attack("B02")
@pytest.mark.parametrize("lie", sorted(LIES))
@pytest.mark.parametrize("path", ["/in/source", "/v1/sources"])
async def test_a_length_that_lies(target: Target, url: str, lie: str, path: str) -> None:
    """One answer, a refusal, and the connection closed: what follows is not taken for a second request."""
    smuggled = request("/healthz", [], method="GET")
    aimed = target.source.url_path if path == "/in/source" else path
    data = request(aimed, [*lines(target), *LIES[lie]], b"zz\r\n" + BODY + b"\r\n0\r\n\r\n" + smuggled)
    answer = await exchange(url, data, half_close=True)
    found = statuses(answer)
    assert 200 not in found, "the smuggled request was answered"
    assert found == [] or found[0] in (400, 401, 413, 501), found
    assert await target.deliveries() == []
    await assert_alive(target, url)


BOTH_LENGTHS = {
    "length first": ["content-length: 5", "transfer-encoding: chunked"],
    "chunks first": ["transfer-encoding: chunked", "content-length: 5"],
    "far apart": ["Content-Length: 5", "x-between: 1", "Transfer-Encoding: CHUNKED"],
    "another coding before": ["content-length: 5", "transfer-encoding: gzip, chunked"],
    "a coding that is none": ["transfer-encoding: identity", "content-length: 5"],
    "an empty coding": ["transfer-encoding:", "content-length: 5"],
}


@pytest.mark.attack("B02")
@pytest.mark.parametrize("kind", sorted(BOTH_LENGTHS))
@pytest.mark.parametrize("path", ["/in/source", "/v1/sources", "/healthz"])
async def test_two_lengths_are_refused_although_both_fit(target: Target, url: str, kind: str, path: str) -> None:
    """Five bytes that are a whole body under either reading: what a server in front takes for one request must be none here.

    RFC 9112, section 6.1: such a request ought to be handled as an error, and the connection closed.
    """
    body, smuggled = b"0\r\n\r\n", request("/healthz", [], method="GET")
    aimed = target.source.url_path if path == "/in/source" else path
    # Not half-closed: only the server may end it. Each of both lengths alone is served, so it is the pair that is refused.
    answer = await exchange(url, request(aimed, [*lines(target, body), *BOTH_LENGTHS[kind]], body + smuggled))
    assert statuses(answer) == [400]
    assert b"connection: close" in answer.lower()
    for one in (["content-length: 5"], ["transfer-encoding: chunked"]):
        alone = await exchange(url, request(aimed, [*one, "connection: close"], body))
        assert statuses(alone) in ([401], [405]), "refused for another reason than its lengths"
    assert await target.deliveries() == []


@pytest.mark.attack("B02")
def test_the_server_of_production_is_the_one_that_is_attacked_here() -> None:
    """Which parser reads requests is chosen by what is installed, here as there; the other one would take the chunks."""
    config = uvicorn.Config(lambda: None, lifespan="off", ws="none", log_config=None)
    config.load()
    assert config.http_protocol_class is AutoHTTPProtocol
    assert AutoHTTPProtocol is HttpToolsProtocol


@pytest.mark.attack("B02")
async def test_a_body_that_ends_before_its_length(target: Target, url: str) -> None:
    data = request(target.source.url_path, lines(target, BODY, f"content-length: {len(BODY) + 10}"), BODY)
    answer = await exchange(url, data, half_close=True)
    assert statuses(answer) in ([], [503])
    assert await target.deliveries() == []


@pytest.mark.attack("B02")
async def test_a_body_that_goes_on_after_its_length(target: Target, url: str) -> None:
    """The rest is no part of the delivery, and no request."""
    data = request(target.source.url_path, lines(target, BODY, f"content-length: {len(BODY)}"), BODY + b"and more")
    found = statuses(await exchange(url, data, half_close=True))
    kept = await target.deliveries()
    assert (found, kept) == ([400], []) or (found in ([202], [202, 400]) and [row["body"] for row in kept] == [BODY])


@pytest.mark.attack("B21")
async def test_slow_senders_hold_up_nobody_and_are_let_go(target: Target, url: str) -> None:
    """Bodies that stop in the middle: others are served meanwhile, and each is answered when its time is over."""
    half = request(target.source.url_path, lines(target, BODY, f"content-length: {len(BODY)}"), BODY[:5])
    slow = [await Wire.open(url) for _ in range(150)]
    await asyncio.gather(*(wire.send(half) for wire in slow))
    for _ in range(3):
        await assert_alive(target, url)
    answers = await asyncio.gather(*(wire.everything() for wire in slow))
    await asyncio.gather(*(wire.close() for wire in slow))
    assert {status for answer in answers for status in statuses(answer)} == {503}
    assert len(await target.deliveries()) == 3


@pytest.mark.attack("B21")
async def test_a_slow_body_to_the_api_is_answered_in_its_time(
    target: Target, url: str, tokens: dict[Role, str]
) -> None:
    headers = [f"authorization: {tokens[Role.ADMIN]}", "content-type: application/json", "content-length: 50"]
    wire = await Wire.open(url)
    await wire.send(request("/v1/sources", headers, b'{"kind":'))
    assert (await wire.head()).startswith(b"HTTP/1.1 408")
    await wire.close()


@pytest.mark.attack("B21")
async def test_heads_that_never_end_hold_up_nobody(target: Target, url: str) -> None:
    slow = [await Wire.open(url) for _ in range(150)]
    await asyncio.gather(*(wire.send(b"POST /in/x HTTP/1.1\r\nhost: t\r\nx-a: ") for wire in slow))
    await assert_alive(target, url)
    await asyncio.gather(*(wire.close() for wire in slow))
    await assert_alive(target, url)


@pytest.mark.attack("B31")
@pytest.mark.parametrize("path", ["/in/source", "/v1/sources", "/healthz"])
@pytest.mark.parametrize("kind", ["one huge header", "a thousand headers", "a huge request line"])
async def test_more_headers_than_any_honest_request(target: Target, url: str, path: str, kind: str) -> None:
    aimed = target.source.url_path if path == "/in/source" else path
    more = {
        "one huge header": ["x-pad: " + "a" * 100_000],
        "a thousand headers": [f"x-{number}: a" for number in range(1000)],
        "a huge request line": [],
    }[kind]
    tail = "?" + "a" * 100_000 if kind == "a huge request line" else ""
    method = "GET" if path == "/healthz" else "POST"
    answer = await exchange(url, request(aimed + tail, [*more, "connection: close"], method=method), half_close=True)
    found = statuses(answer)
    assert len(found) <= 1
    assert all(400 <= status < 500 for status in found), answer[:300]
    assert b"Traceback" not in answer
    await assert_alive(target, url)


@pytest.mark.attack("B31")
async def test_odd_but_legal_headers_change_nothing(target: Target, url: str) -> None:
    """``Range`` asks for a part of an answer, ``Expect`` for leave to send: neither gets more than anybody."""
    async with httpx.AsyncClient(base_url=url) as client:
        plain = await client.get("/healthz")
        part = await client.get("/healthz", headers={"range": "bytes=0-1"})
        assert (part.status_code, part.content) == (200, plain.content)
    wire = await Wire.open(url)
    headers = lines(target, BODY, f"content-length: {len(BODY)}", "expect: 100-continue", "connection: close")
    await wire.send(request(target.source.url_path, headers))
    await wire.send(BODY)
    assert statuses(await wire.everything())[-1] == 202
    await wire.close()


@pytest.mark.attack("B31")
async def test_another_protocol_is_not_spoken(target: Target, url: str) -> None:
    """No HTTP/2 here, so no rapid reset; its preface and an upgrade get a refusal or HTTP/1.1."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    assert all(400 <= status < 500 for status in statuses(await exchange(url, preface, half_close=True)))
    upgrade = request(
        "/healthz", ["connection: upgrade, close", "upgrade: h2c", "http2-settings: AAMAAABk"], method="GET"
    )
    assert 101 not in statuses(await exchange(url, upgrade, half_close=True))
    await assert_alive(target, url)
