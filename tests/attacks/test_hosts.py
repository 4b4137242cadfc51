"""D08: hosts that never stop talking, lie about their size, hang, or show somebody else's certificate."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from app.net.outbound import OutboundError, OutboundHttp, OutboundTimeout, ResponseTooLarge
from tests.fixtures.wait import ends
from tests.net.callers import Names, outbound
from tests.net.peers import Answer, Heard, certificate, peer, reply


async def _endless(writer: asyncio.StreamWriter, _heard: Heard) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def _announced(writer: asyncio.StreamWriter, _heard: Heard) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    await writer.drain()


async def _dripping(writer: asyncio.StreamWriter, _heard: Heard) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silent(_writer: asyncio.StreamWriter, _heard: Heard) -> None:
    await asyncio.Event().wait()


BOMB = gzip.compress(b"0" * 30_000_000)
HOSTS: dict[str, tuple[Answer, type[OutboundError]]] = {
    "endless": (_endless, ResponseTooLarge),
    "ten gigabytes": (_announced, ResponseTooLarge),
    "dripping": (_dripping, OutboundTimeout),
    "silent": (_silent, OutboundTimeout),
    "bomb": (reply(BOMB, headers="content-encoding: gzip\r\n"), ResponseTooLarge),
    "unknown coding": (reply(b"x", headers="content-encoding: br\r\n"), OutboundError),
}


@pytest.mark.attack("D08")
@pytest.mark.parametrize("kind", sorted(HOSTS))
async def test_a_host_that_never_stops(http: OutboundHttp, kind: str) -> None:
    answer, expected = HOSTS[kind]
    async with peer(answer) as there, peer(reply()) as neighbour, ends():
        hostile = asyncio.create_task(http.request("GET", there.url(), timeout_s=1.5, max_bytes=100_000))
        assert (await http.request("GET", neighbour.url(), timeout_s=5)).status == 200
        with pytest.raises(expected) as failure:
            await hostile
    assert failure.value.sent


@pytest.mark.attack("D08")
async def test_a_certificate_for_somebody_else(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "other.test")
    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]))
    async with peer(reply(), tls=context) as there:
        with pytest.raises(OutboundError) as failure:
            await guarded.request("GET", there.url(host="peer.test", scheme="https"), timeout_s=5)
        assert not failure.value.sent
        assert there.heard == []
    await guarded.aclose()


@pytest.mark.attack("D08")
async def test_a_hanging_host_takes_its_own_turns_only() -> None:
    """As many calls as one host may have hang there; a call elsewhere does not wait for them."""
    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]), egress_max_per_host=3)
    async with peer(_silent) as hanging, peer(reply()) as quick:
        stuck = [
            asyncio.create_task(guarded.request("GET", hanging.url(host="slow.test"), timeout_s=3)) for _ in range(6)
        ]
        assert (await guarded.request("GET", quick.url(host="quick.test"), timeout_s=2)).status == 200
        assert hanging.connections <= 3
        outcomes = await asyncio.gather(*stuck, return_exceptions=True)
    assert all(isinstance(outcome, OutboundTimeout) for outcome in outcomes)
    await guarded.aclose()
