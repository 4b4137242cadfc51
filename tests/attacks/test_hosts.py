"""D08: hosts that never stop talking, lie about their size, hang, or show somebody else's certificate; and key servers."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path

import pytest

from app.net.outbound import OutboundError, OutboundHttp, OutboundTimeout, ResponseTooLarge
from app.net.signing.checks import Wanted
from app.net.signing.key_sets import Document
from app.net.signing.remote_keys import KeysUnavailable, RemoteKeys, fetch_with
from app.net.signing.shares import DOCUMENTS_EACH
from tests.fixtures.wait import ends
from tests.net.callers import Names, outbound
from tests.net.peers import Answer, Heard, certificate, peer, reply
from tests.net.signing.issuers import Issuer


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


@pytest.mark.attack("D08")
async def test_one_tenants_key_servers_take_nothing_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hangs ten hosts and keeps as many documents as it can; B's kept key stays, and a new one is fetched at once."""
    monkeypatch.setattr("app.net.signing.remote_keys._FETCH_TIMEOUT_S", 60.0)
    guarded = outbound("127.0.0.0/8", names=Names(["127.0.0.1"]))
    keys = RemoteKeys(fetch_with(guarded), ticks=time.monotonic)

    async def find(url: str, tenant: str) -> None:
        await keys.gather([Wanted(url, Document.JWKS, "k1")], tenant=tenant)

    async with peer(_silent) as hanging, peer(reply(Issuer().jwks())) as server, ends():
        for path in ("/known", "/beside"):
            await find(server.url(path, host="b.test"), "b")
        for number in range(DOCUMENTS_EACH + 6):
            await find(server.url(host=f"h{number}.a.test"), "a")
        stuck = [asyncio.create_task(find(hanging.url(host=f"slow{number}.a.test"), "a")) for number in range(10)]
        outcomes = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(outcome, KeysUnavailable) for outcome in outcomes)
        server.heard.clear()
        await find(server.url("/known", host="b.test"), "b")
        assert server.heard == [], "B's key went for A's documents"
        await find(server.url("/new", host="b.test"), "b")
        # The address that A asked for in vain, behind its hosts that hang, is another fetch for B.
        await find(server.url(host="h0.a.test"), "b")
        assert [heard.target for heard in server.heard] == ["/new", "/"]
        await keys.aclose()
    await guarded.aclose()
