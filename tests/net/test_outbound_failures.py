"""Outgoing calls that fail: bounded in time and bytes, and honest about whether the request was sent."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from pathlib import Path

import pytest

from app.net.outbound import EgressRefused, OutboundError, OutboundHttp, OutboundTimeout, ResponseTooLarge
from tests.fixtures.wait import ends
from tests.net.callers import Names, outbound
from tests.net.peers import Heard, certificate, peer, reply


async def test_d08_an_endless_answer_ends_at_the_cap(http: OutboundHttp) -> None:
    async def endless(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()

    async with peer(endless) as there:
        with pytest.raises(ResponseTooLarge) as failure:
            await http.request("GET", there.url(), timeout_s=5, max_bytes=20_000)
    assert failure.value.sent


async def test_d08_a_length_over_the_cap_is_not_waited_for(http: OutboundHttp) -> None:
    async def huge(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
        await writer.drain()

    async with peer(huge) as there:
        with pytest.raises(ResponseTooLarge):
            await http.request("GET", there.url(), timeout_s=5)


async def test_the_cap_itself_is_allowed(http: OutboundHttp) -> None:
    async with peer(reply(b"x" * 5000)) as there:
        response = await http.request("GET", there.url(), timeout_s=5, max_bytes=5000)
        assert len(response.body) == 5000
        with pytest.raises(ResponseTooLarge):
            await http.request("GET", there.url(), timeout_s=5, max_bytes=4999)


async def test_d08_a_slow_drip_ends_with_the_callers_time(http: OutboundHttp) -> None:
    async def drip(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with peer(drip) as there, ends():
        with pytest.raises(OutboundTimeout) as failure:
            await http.request("GET", there.url(), timeout_s=0.4)
    assert failure.value.sent


async def test_d08_silence_after_the_request(http: OutboundHttp) -> None:
    async def silence(_writer: asyncio.StreamWriter, _heard: Heard) -> None:
        await asyncio.Event().wait()

    async with peer(silence) as there:
        with pytest.raises(OutboundTimeout) as failure:
            await http.request("POST", there.url(), content=b"x", timeout_s=0.3)
        assert failure.value.sent
        assert len(there.heard) == 1


async def test_a_name_server_that_hangs_means_nothing_was_sent() -> None:
    class Hanging(Names):
        async def __call__(self, _host: str, _port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    guarded = outbound(names=Hanging(), egress_connect_timeout_s=0.2)
    with pytest.raises(OutboundTimeout) as failure:
        await guarded.request("GET", "http://peer.test/", timeout_s=5)
    assert not failure.value.sent
    await guarded.aclose()


async def test_a_name_that_does_not_resolve_means_nothing_was_sent() -> None:
    guarded = outbound(names=Names([]))
    with pytest.raises(OutboundError) as failure:
        await guarded.request("GET", "http://peer.test/", timeout_s=5)
    assert not failure.value.sent
    assert not isinstance(failure.value, EgressRefused)
    await guarded.aclose()


async def test_a_closed_port_means_nothing_was_sent(http: OutboundHttp) -> None:
    async with peer(reply()) as there:
        gone = there.url()
    with pytest.raises(OutboundError) as failure:
        await http.request("POST", gone, content=b"x", timeout_s=5)
    assert not failure.value.sent


async def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown(http: OutboundHttp) -> None:
    async def hang_up(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.close()

    async with peer(hang_up) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("POST", there.url(), content=b"x", timeout_s=5)
    assert failure.value.sent
    assert not isinstance(failure.value, OutboundTimeout)


async def test_a_request_that_was_cut_short_may_have_been_understood(http: OutboundHttp) -> None:
    """The peer never reads: the head of the request stays half written when the time is over."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        headers = {f"x-{index}": "v" * 8000 for index in range(1200)}
        with pytest.raises(OutboundTimeout) as failure:
            await http.request("GET", url, headers=headers, timeout_s=0.5)
    assert failure.value.sent


async def test_an_answer_that_is_no_http_leaves_the_outcome_unknown(http: OutboundHttp) -> None:
    async def nonsense(writer: asyncio.StreamWriter, _heard: Heard) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()

    async with peer(nonsense) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), timeout_s=5)
    assert failure.value.sent
    assert "OpenSSH" not in str(failure.value)


async def test_a_compressed_answer_is_inflated_up_to_the_cap(http: OutboundHttp) -> None:
    small = reply(gzip.compress(b"a" * 1000), headers="content-encoding: gzip\r\n")
    async with peer(small) as there:
        response = await http.request("GET", there.url(), timeout_s=5)
        assert response.body == b"a" * 1000
        assert there.heard[0].headers["accept-encoding"] == "identity"


async def test_a_compression_bomb_is_not_inflated_beyond_the_cap(http: OutboundHttp) -> None:
    bomb = reply(gzip.compress(b"a" * 60_000_000), headers="content-encoding: gzip\r\n")
    async with peer(bomb) as there:
        tracemalloc.start()
        try:
            with pytest.raises(ResponseTooLarge):
                await http.request("GET", there.url(), timeout_s=5)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 10_000_000


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip"])
async def test_a_compression_that_is_unknown_or_broken(http: OutboundHttp, coding: str) -> None:
    async with peer(reply(b"not compressed", headers=f"content-encoding: {coding}\r\n")) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), timeout_s=5)
    assert failure.value.sent


@pytest.mark.parametrize(
    ("name", "value"), [("x-a", "b\r\nx-evil: 1"), ("x-a\r\nx-evil", "1"), ("x-a", "ü"), ("", "1"), ("x a", "1")]
)
async def test_a_header_cannot_break_out_of_its_line(http: OutboundHttp, name: str, value: str) -> None:
    async with peer(reply()) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(), headers={name: value}, timeout_s=5)
        assert not failure.value.sent
        assert there.connections == 0


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection", "proxy-authorization"])
async def test_whoever_chooses_headers_frames_no_request_and_names_no_other_host(http: OutboundHttp, name: str) -> None:
    async with peer(reply()) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("POST", there.url(), headers={name: "5"}, content=b"12345", timeout_s=5)
        assert not failure.value.sent
        assert there.heard == []


async def test_an_unknown_method_is_not_sent(http: OutboundHttp) -> None:
    with pytest.raises(OutboundError, match="method"):
        await http.request("CONNECT", "http://127.0.0.1:9/", timeout_s=5)


async def test_d08_a_certificate_that_nobody_vouches_for(http: OutboundHttp, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "127.0.0.1")
    async with peer(reply(), tls=context) as there:
        with pytest.raises(OutboundError) as failure:
            await http.request("GET", there.url(scheme="https"), timeout_s=5)
        assert not failure.value.sent
        assert there.heard == []


async def test_d08_a_host_that_hangs_does_not_hold_up_another() -> None:
    async def silence(_writer: asyncio.StreamWriter, _heard: Heard) -> None:
        await asyncio.Event().wait()

    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]), egress_max_per_host=2, egress_max_connections=3)
    async with peer(silence) as stuck, peer(reply()) as healthy:
        calls = [
            asyncio.ensure_future(guarded.request("GET", stuck.url(host="stuck.test"), timeout_s=1.5))
            for _ in range(10)
        ]
        response = await guarded.request("GET", healthy.url(host="healthy.test"), timeout_s=1)
        assert response.status == 200
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, OutboundTimeout) for outcome in outcomes)
        assert sum(outcome.sent for outcome in outcomes if isinstance(outcome, OutboundTimeout)) == 2
        assert stuck.connections == 2
    await guarded.aclose()
