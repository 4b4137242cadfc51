"""Keys of which nothing was heard for long are forgotten; what is open, or was heard of, is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.fixtures.database import make_tenant
from workers.quiet_keys import EVERY_S, QUIET, QuietKeys

LATER = QUIET + timedelta(days=1)


@pytest.fixture
async def tenants(scratch_database: Database, clock: FakeClock) -> list[TenantId]:
    """Two tenants, each with two keys that were resolved and one that fires."""
    tenants = [await make_tenant(scratch_database) for _ in range(2)]
    for tenant in tenants:
        async with tenant_session(scratch_database, tenant) as session:
            now, source = clock.now(), make_source()
            for key in ("old-a", "old-b"):
                # Groups by name: each key has an incident of its own.
                await deliver(session, source, make_event(key, at=now), now=now, seq=1)
                await deliver(session, source, make_resolve(key, at=now), now=now, seq=2)
            await deliver(session, source, make_event("firing", at=now), now=now, seq=3)
    return tenants


class Keeper:
    def __init__(self, database: Database, clock: FakeClock, *, stretch: int = 1000) -> None:
        self._database = database
        self._seconds = 0.0
        self._sweep = QuietKeys(clock, stretch=stretch, ticks=lambda: self._seconds)

    async def look(self) -> None:
        async with system_session(self._database, reason="test") as session:
            await self._sweep(session)
        self._seconds += EVERY_S


async def heads(database: Database, tenant: TenantId) -> set[str]:
    async with tenant_session(database, tenant) as session:
        return set((await session.execute(text("select dedup_key from alert_heads"))).scalars())


async def groups(database: Database, tenant: TenantId) -> int:
    async with tenant_session(database, tenant) as session:
        return int((await session.execute(text("select count(*) from incident_groups"))).scalar_one())


async def test_what_is_quiet_goes_and_what_fires_stays(
    scratch_database: Database, clock: FakeClock, tenants: list[TenantId]
) -> None:
    keeper = Keeper(scratch_database, clock)
    before = [await groups(scratch_database, tenant) for tenant in tenants]
    await keeper.look()
    assert [await heads(scratch_database, tenant) for tenant in tenants] == [{"old-a", "old-b", "firing"}] * 2
    clock.advance(LATER)
    await keeper.look()
    assert [await heads(scratch_database, tenant) for tenant in tenants] == [{"firing"}] * 2
    # Groups whose incident is still open stay with it.
    for tenant, count in zip(tenants, before, strict=True):
        async with tenant_session(scratch_database, tenant) as session:
            is_open = "select count(*) from incidents where state in ('open', 'acknowledged', 'mitigated', 'snoozed')"
            assert await groups(scratch_database, tenant) == (await session.execute(text(is_open))).scalar_one() < count


async def test_a_stretch_is_bounded_and_the_walk_goes_round(
    scratch_database: Database, clock: FakeClock, tenants: list[TenantId]
) -> None:
    clock.advance(LATER)
    keeper, left = Keeper(scratch_database, clock, stretch=2), []
    for _ in range(4):
        await keeper.look()
        left.append(sum([len(await heads(scratch_database, tenant)) for tenant in tenants]))
    # Six keys, two at a time: at the most two go in a step, and after the end it begins again.
    assert left[-1] == 2
    assert all(first - second <= 2 for first, second in zip([6, *left], left, strict=False))
    clock.advance(timedelta(days=-2))
    async with tenant_session(scratch_database, tenants[0]) as session:
        await deliver(session, make_source(), make_event("new", at=clock.now()), now=clock.now())
    for _ in range(3):
        await keeper.look()
    assert "new" in await heads(scratch_database, tenants[0])


async def test_a_key_that_was_forgotten_begins_anew(
    scratch_database: Database, clock: FakeClock, tenants: list[TenantId]
) -> None:
    clock.advance(LATER)
    await Keeper(scratch_database, clock).look()
    async with tenant_session(scratch_database, tenants[0]) as session:
        source = make_source()
        (applied,) = await deliver(session, source, make_event("old-a", at=clock.now()), now=clock.now())
    assert applied.incident_id is not None
