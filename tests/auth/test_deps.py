"""Tokens in wrong spellings and at the end of their lives, and what a process remembers of them (C12, C13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.deps import CACHE_TTL_S, STRANGERS_AT_ONCE, TokenLookup
from app.auth.rules import Role, generate_token
from app.auth.service import create_operator_token, create_token, pepper_of, revoke_token
from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import TenantId, TokenId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.main import create_app
from app.settings import Settings
from app.tenants.service import isolate_tenant, restore_tenant

ACTOR = Actor.system("test")


@dataclass
class Ticks:
    """The monotonic clock of the look-up's memory."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Door:
    """The API of one process whose memory the test can age."""

    client: httpx.AsyncClient
    lookup: TokenLookup
    ticks: Ticks = field(default_factory=Ticks)

    async def status(self, token: str, path: str = "/v1/me") -> int:
        return (await self.client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


@dataclass(frozen=True)
class Made:
    id: TokenId
    text: str


@pytest.fixture
async def door(settings: Settings, resources: Resources, database: Database) -> AsyncIterator[Door]:
    ticks = Ticks()
    lookup = TokenLookup(database, pepper=pepper_of(settings), ticks=ticks, size=3)
    resources.provide(TokenLookup, lookup)
    transport = httpx.ASGITransport(app=create_app(settings, resources), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        yield Door(client, lookup, ticks)


async def make(
    resources: Resources, tenant: TenantId, clock: FakeClock, role: Role = Role.ADMIN, **changes: Any
) -> Made:
    values: dict[str, Any] = {"name": "test", "expires_at": None, "actor": ACTOR, "now": clock.now()} | changes
    async with tenant_session(resources.get(Database), tenant) as session:
        created = await create_token(session, pepper=pepper_of(resources.get(Settings)), role=role, **values)
    return Made(TokenId(created.row.id), created.text)


@pytest.fixture
async def admin(resources: Resources, tenant_id: TenantId, clock: FakeClock) -> Made:
    return await make(resources, tenant_id, clock)


# Besides what tests/auth/test_access.py sends: a good token in a wrong spelling.
REFUSED: dict[str, list[str]] = {
    "another scheme": ["Basic {token}"],
    "no scheme": ["{token}"],
    "a good and an empty header": ["Bearer {token}", ""],
    "two tokens": ["Bearer {token}, Bearer {token}"],
    "a token and a comma": ["Bearer {token},"],
    "two spaces": ["Bearer  {token}"],
    "quotes": ['Bearer "{token}"'],
    "cut off": ["Bearer {token:.40}"],
    "longer": ["Bearer {token}A"],
    "padded": ["Bearer {token}="],
    "an operator's prefix": ["Bearer {operator}"],
}


def credentials(kind: str, admin: Made) -> list[tuple[str, str]]:
    values = {
        "token": admin.text,
        "operator": admin.text.replace("tcs_", "tco_"),
    }
    return [("authorization", header.format(**values)) for header in REFUSED[kind]]


async def refusal(door: Door, headers: list[tuple[str, str]], path: str = "/v1/me") -> tuple[int, Any, dict[str, str]]:
    answer = await door.client.get(path, headers=headers)
    body = answer.json()
    body.pop("request_id", None)
    shown = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, body, shown


@pytest.mark.parametrize("kind", REFUSED)
async def test_every_refusal_is_the_same(door: Door, admin: Made, kind: str) -> None:
    status, body, headers = await refusal(door, credentials(kind, admin))
    assert (status, body["code"], headers["www-authenticate"]) == (401, "auth.token_invalid", "Bearer")
    assert (status, body, headers) == await refusal(door, [])


async def test_expired_and_revoked_are_refused_in_the_same_words(
    door: Door, resources: Resources, tenant_id: TenantId, clock: FakeClock
) -> None:
    short = await make(resources, tenant_id, clock, expires_at=clock.now() + timedelta(seconds=60))
    revoked = await make(resources, tenant_id, clock)
    async with tenant_session(resources.get(Database), tenant_id) as session:
        await revoke_token(session, token_id=revoked.id, actor=ACTOR, now=clock.now())
    assert await door.status(short.text) == 200
    # The very moment of expiry is too late, although the look-up is remembered.
    clock.advance(timedelta(seconds=60))
    nobody = await refusal(door, [])
    for token in (short, revoked):
        assert await refusal(door, [("authorization", f"Bearer {token.text}")]) == nobody


async def test_a_refused_caller_learns_nothing_of_the_route(door: Door) -> None:
    nobody = await refusal(door, [])
    for path in ("/v1/tokens", "/v1/audit", "/v1/admin/tenants", "/v1/incidents?limit=banana"):
        assert await refusal(door, [], path) == nobody


async def test_revoking_takes_hold_when_the_memory_is_old(
    door: Door, resources: Resources, admin: Made, tenant_id: TenantId, clock: FakeClock
) -> None:
    assert await door.status(admin.text) == 200
    async with tenant_session(resources.get(Database), tenant_id) as session:
        await revoke_token(session, token_id=admin.id, actor=ACTOR, now=clock.now())
    door.ticks.seconds = CACHE_TTL_S - 0.001
    assert await door.status(admin.text) == 200
    door.ticks.seconds = CACHE_TTL_S
    assert await door.status(admin.text) == 401


async def test_strangers_do_not_push_known_tokens_out(door: Door, resources: Resources, admin: Made) -> None:
    assert await door.status(admin.text) == 200
    for _ in range(10):
        assert await door.status(generate_token()) == 401
    # Still remembered: it works although the database no longer knows it.
    async with tenant_session(resources.get(Database), await tenant_of(door, admin)) as session:
        await session.execute(text("update api_tokens set revoked_at = now()"))
    assert await door.status(admin.text) == 200


async def test_the_memory_is_bounded(
    door: Door, resources: Resources, admin: Made, tenant_id: TenantId, clock: FakeClock
) -> None:
    assert await door.status(admin.text) == 200
    for _ in range(3):
        assert await door.status((await make(resources, tenant_id, clock)).text) == 200
    async with tenant_session(resources.get(Database), tenant_id) as session:
        await session.execute(text("update api_tokens set revoked_at = now()"))
    assert await door.status(admin.text) == 401, "the oldest of four was to be forgotten: three fit"


async def tenant_of(door: Door, token: Made) -> TenantId:
    answer = await door.client.get("/v1/me", headers={"Authorization": f"Bearer {token.text}"})
    return TenantId(answer.json()["tenant_id"])


async def test_an_isolated_tenant_is_shut_out_and_let_back(
    door: Door, resources: Resources, admin: Made, tenant_id: TenantId, clock: FakeClock
) -> None:
    database = resources.get(Database)
    async with tenant_session(database, tenant_id) as session:
        await isolate_tenant(session, reason="leak", actor=ACTOR, now=clock.now())
    answer = await door.client.get("/v1/me", headers={"Authorization": f"Bearer {admin.text}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.tenant_isolated")
    async with tenant_session(database, tenant_id) as session:
        await restore_tenant(session, reason="done", actor=ACTOR, now=clock.now())
    door.ticks.seconds = CACHE_TTL_S
    assert await door.status(admin.text) == 200


async def test_a_deleted_tenants_token_is_no_token(
    door: Door, resources: Resources, admin: Made, tenant_id: TenantId
) -> None:
    async with tenant_session(resources.get(Database), tenant_id) as session:
        await session.execute(text("update tenants set state = 'deleted'"))
    assert await door.status(admin.text) == 401


async def test_operators_and_tenants_doors_are_apart(
    door: Door, resources: Resources, admin: Made, clock: FakeClock
) -> None:
    async with system_session(resources.get(Database), reason="test") as session:
        _, operator = await create_operator_token(
            session,
            pepper=pepper_of(resources.get(Settings)),
            name="op",
            expires_at=clock.now() + timedelta(seconds=1),
        )
    assert await door.status(operator, "/v1/admin/tenants") == 200
    assert await door.status(admin.text, "/v1/admin/tenants") == 401
    for path in ("/v1/me", "/v1/incidents", "/v1/audit", "/v1/tokens"):
        assert await door.status(operator, path) == 401
    clock.advance(timedelta(seconds=1))
    assert await door.status(operator, "/v1/admin/tenants") == 401


async def test_invented_tokens_hold_up_no_token_that_was_seen(
    door: Door, admin: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.status(admin.text) == 200
    door.ticks.seconds += CACHE_TTL_S
    look, release, looking = door.lookup._look, asyncio.Event(), 0

    async def slowly(token: str, token_hash: bytes) -> object:
        nonlocal looking
        looking += 1
        if token != admin.text:
            await release.wait()
        return await look(token, token_hash)

    monkeypatch.setattr(door.lookup, "_look", slowly)
    flood = [asyncio.create_task(door.status(generate_token())) for _ in range(10)]
    assert await door.status(admin.text) == 200, "it is asked again, and does not wait behind strangers"
    assert looking == STRANGERS_AT_ONCE + 1
    release.set()
    assert await asyncio.gather(*flood) == [401] * 10
