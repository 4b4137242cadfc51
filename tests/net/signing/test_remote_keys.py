"""The process's published keys: fetched seldom, renewed for an unknown id, used for a while when the server is down."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from app.net.errors import OutboundError
from app.net.signing import Refused, Verified, get_profile
from app.net.signing.checks import Wanted
from app.net.signing.key_sets import Document
from app.net.signing.remote_keys import KeysUnavailable, Patience, RemoteKeys
from tests.net.signing.issuers import KEYS_URL, PINS, Issuer, rsa_key, with_token
from tests.net.signing.senders import NOW, secret

ISSUER = Issuer()
WANTED = Wanted(KEYS_URL, Document.JWKS, "k1")
UNKNOWN = Wanted(KEYS_URL, Document.JWKS, "k2")


class Server:
    """A key server that the test can bring down, slow down (where the address holds ``hanging``) or give other keys."""

    def __init__(self) -> None:
        self.document = ISSUER.jwks()
        self.is_down = False
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.hanging = ""
        self.now = 1000.0
        self.keys = RemoteKeys(self.fetch, ticks=lambda: self.now, patience=Patience(wait_s=0.05))

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.hanging in url:
            await self.gate.wait()
        if self.is_down:
            raise OutboundError("no connection")
        return self.document


async def test_an_address_is_fetched_once_for_any_number_of_requests() -> None:
    server = Server()
    server.gate.clear()
    waiting = [asyncio.create_task(server.keys.gather([WANTED])) for _ in range(50)]
    await asyncio.sleep(0)
    server.gate.set()
    assert all(KEYS_URL in held for held in await asyncio.gather(*waiting))
    assert len(server.asked) == 1
    await server.keys.gather([WANTED])
    assert len(server.asked) == 1


async def test_an_unknown_key_renews_the_set_but_not_at_every_request() -> None:
    server = Server()
    await server.keys.gather([WANTED])
    for _ in range(100):
        assert "k2" not in (await server.keys.gather([UNKNOWN]))[KEYS_URL]
    assert len(server.asked) == 1, "the pause after the first fetch holds"
    server.now += 61
    server.document = ISSUER.jwks(ISSUER.jwk(kid="k2"))
    assert "k2" in (await server.keys.gather([UNKNOWN]))[KEYS_URL]
    assert len(server.asked) == 2


async def test_a_server_that_is_down_is_asked_seldom_and_what_was_known_holds_for_a_day() -> None:
    server = Server()
    await server.keys.gather([WANTED])
    server.is_down = True
    for hours in (2, 10, 23):
        server.now = 1000.0 + hours * 3600
        for _ in range(10):
            assert "k1" in (await server.keys.gather([WANTED]))[KEYS_URL]
            await asyncio.sleep(0)
    assert len(server.asked) == 1 + 3
    server.now = 1000.0 + 24 * 3600 + 1
    with pytest.raises(KeysUnavailable):
        await server.keys.gather([WANTED])


async def test_without_any_key_the_sender_is_asked_to_come_back() -> None:
    server = Server()
    server.is_down = True
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await server.keys.gather([WANTED])
    assert len(server.asked) == 1
    server.is_down, server.now = False, server.now + 61
    assert "k1" in (await server.keys.gather([WANTED]))[KEYS_URL]


async def test_a_slow_server_holds_nobody_up_for_longer_than_a_second() -> None:
    server = Server()
    server.gate.clear()
    with pytest.raises(KeysUnavailable):
        await asyncio.wait_for(server.keys.gather([WANTED]), 5)
    server.gate.set()
    assert "k1" in (await server.keys.gather([WANTED]))[KEYS_URL], "the first fetch went on"
    assert len(server.asked) == 1
    await server.keys.aclose()


async def test_who_hangs_up_takes_the_keys_from_nobody() -> None:
    server = Server()
    server.gate.clear()
    first = asyncio.create_task(server.keys.gather([WANTED]))
    other = asyncio.create_task(server.keys.gather([WANTED]))
    await asyncio.sleep(0)
    first.cancel()
    server.gate.set()
    assert KEYS_URL in await other
    assert len(server.asked) == 1


def at(host: str, path: object = "keys") -> Wanted:
    return Wanted(f"https://{host}/{path}", Document.JWKS, "k1")


async def taken(server: Server, wanted: list[Wanted], tenant: str) -> int:
    """How many of the documents the tenant gets, asked for one after the other."""
    found = 0
    for want in wanted:
        with suppress(KeysUnavailable):
            found += bool(await server.keys.gather([want], tenant=tenant))
    return found


async def test_a_tenant_gets_so_many_documents_a_minute_from_one_host_and_in_all() -> None:
    server = Server()
    assert await taken(server, [at("sns.us-east-1.amazonaws.com", number) for number in range(100)], "a") == 20
    assert await taken(server, [at(f"h{number}.example") for number in range(100)], "a") == 20, "40 in all"
    assert await taken(server, [at("sns.us-east-1.amazonaws.com", "b")], "b") == 1, "another tenant has its own"
    server.now += 61
    assert await taken(server, [at("sns.us-east-1.amazonaws.com", number) for number in range(30, 99)], "a") == 20


async def test_hosts_that_hang_take_their_own_tenants_turns_only() -> None:
    """D08: with both turns taken and more in the queue, among it an address that the other tenant wants."""
    server = Server()
    server.gate.clear()
    hanging = [at(f"h{number}.evil.example") for number in range(10)]
    with pytest.raises(KeysUnavailable):
        await server.keys.gather([*hanging, WANTED], tenant="a")
    assert server.asked == [want.url for want in hanging[:2]]
    server.hanging = "evil"
    assert KEYS_URL in await server.keys.gather([WANTED], tenant="b")
    assert server.asked[2:] == [KEYS_URL], "B's fetch waits for nobody"
    await server.keys.aclose()


async def test_what_one_tenant_keeps_is_given_up_for_its_own_documents_only() -> None:
    server = Server()
    await server.keys.gather([WANTED], tenant="a")
    await server.keys.gather([WANTED, at("b.example")], tenant="b")
    assert server.asked == [KEYS_URL, at("b.example").url], "fetched for one, kept for both"
    for number in range(600):
        server.now += 2
        await server.keys.gather([at(f"h{number}.evil.example")], tenant="a")
    assert len(server.keys._shares._kept) == 32 + 2
    server.asked.clear()
    await server.keys.gather([WANTED, at("b.example")], tenant="b")
    assert server.asked == [], "B's keys are still there"
    await server.keys.gather([at("h1.evil.example")], tenant="a")
    assert server.asked == [at("h1.evil.example").url], "A's own oldest are gone"


async def test_all_tenants_together_keep_a_bounded_number_and_who_has_most_gives_first() -> None:
    server = Server()
    await server.keys.gather([at("small.example")], tenant="small")
    for number in range(20):
        assert await taken(server, [at(f"h{n}.t{number}.example") for n in range(32)], f"t{number}") == 32
    assert len(server.keys._shares._kept) == 512
    server.asked.clear()
    await server.keys.gather([at("small.example")], tenant="small")
    assert server.asked == []
    for number in range(5000):
        await server.keys.gather([at("small.example")], tenant=number)
    assert len(server.keys._shares._shares) == 4096
    assert {url for share in server.keys._shares._shares.values() for url in share.held} == {at("small.example").url}
    assert list(server.keys._shares._kept) == [at("small.example").url]


async def test_one_of_many_tenants_that_want_the_same_fetches_it_for_all_that_wait_for_a_turn() -> None:
    server = Server()
    waiting = [asyncio.create_task(server.keys.gather([WANTED], tenant=number)) for number in range(100)]
    server.gate.clear()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.now += 1
    server.gate.set()
    assert all(KEYS_URL in held for held in await asyncio.gather(*waiting))
    assert len(server.asked) == 32, "as many as there are turns"


async def test_a_request_is_verified_with_what_was_fetched_and_a_stranger_makes_nothing_be_fetched() -> None:
    server = Server()
    profile = get_profile("azure_monitor")
    held = [secret(profile, PINS)]
    for stranger in (with_token(None), with_token("x.y.z"), with_token(ISSUER.token(ISSUER.claims(aud="api://other")))):
        assert isinstance(await server.keys.verify(profile, stranger, held, NOW, tenant="a"), Refused)
    assert isinstance(await server.keys.verify(profile, with_token(ISSUER.token()), [], NOW, tenant="a"), Refused)
    assert server.asked == []
    assert isinstance(await server.keys.verify(profile, with_token(ISSUER.token()), held, NOW, tenant="a"), Verified)
    forged = with_token(Issuer(key=rsa_key(2)).token())
    assert isinstance(await server.keys.verify(profile, forged, held, NOW, tenant="a"), Refused)
    assert server.asked == [KEYS_URL]


async def test_a_second_of_two_pins_is_found_though_the_first_ones_keys_are_gone() -> None:
    server = Server()
    profile = get_profile("azure_monitor")
    before = secret(profile, "audience=api://tocsin.example tenant=11111111-1111-4222-8333-444455556666")
    assert isinstance(
        await server.keys.verify(profile, with_token(ISSUER.token()), [before, secret(profile, PINS)], NOW, tenant="a"),
        Verified,
    )
    assert server.asked == [KEYS_URL]
