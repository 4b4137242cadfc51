"""The process's published keys: fetched seldom, renewed for an unknown id, used for a while when the server is down."""

from __future__ import annotations

import asyncio

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
    """A key server that the test can bring down, slow down or give other keys."""

    def __init__(self) -> None:
        self.document = ISSUER.jwks()
        self.is_down = False
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = 1000.0
        self.keys = RemoteKeys(self.fetch, ticks=lambda: self.now, patience=Patience(wait_s=0.05))

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
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


async def test_one_host_is_asked_for_so_many_documents_a_minute_and_memory_is_bounded() -> None:
    server = Server()
    many = [Wanted(f"https://sns.us-east-1.amazonaws.com/{n}.pem", Document.JWKS, "k1") for n in range(100)]
    taken = 0
    for want in many:
        try:
            taken += bool(await server.keys.gather([want]))
        except KeysUnavailable:
            continue
    assert (taken, len(server.asked)) == (20, 20)
    other = Wanted("https://sns.eu-west-1.amazonaws.com/1.pem", Document.JWKS, "k1")
    assert await server.keys.gather([other]), "another host is not held up by it"
    for number in range(2000):
        await server.keys.gather([Wanted(f"https://h{number}.example/keys", Document.JWKS, "k1")])
    assert len(server.keys._kept) <= 512
    assert len(server.keys._hosts) <= 512


async def test_a_request_is_verified_with_what_was_fetched_and_a_stranger_makes_nothing_be_fetched() -> None:
    server = Server()
    profile = get_profile("azure_monitor")
    held = [secret(profile, PINS)]
    for stranger in (with_token(None), with_token("x.y.z"), with_token(ISSUER.token(ISSUER.claims(aud="api://other")))):
        assert isinstance(await server.keys.verify(profile, stranger, held, NOW), Refused)
    assert isinstance(await server.keys.verify(profile, with_token(ISSUER.token()), [], NOW), Refused)
    assert server.asked == []
    assert isinstance(await server.keys.verify(profile, with_token(ISSUER.token()), held, NOW), Verified)
    forged = with_token(Issuer(key=rsa_key(2)).token())
    assert isinstance(await server.keys.verify(profile, forged, held, NOW), Refused)
    assert server.asked == [KEYS_URL]


async def test_a_second_of_two_pins_is_found_though_the_first_ones_keys_are_gone() -> None:
    server = Server()
    profile = get_profile("azure_monitor")
    before = secret(profile, "audience=api://tocsin.example tenant=11111111-1111-4222-8333-444455556666")
    assert isinstance(
        await server.keys.verify(profile, with_token(ISSUER.token()), [before, secret(profile, PINS)], NOW), Verified
    )
    assert server.asked == [KEYS_URL]
