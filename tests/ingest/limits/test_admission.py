"""Turning away what is over a limit: early, with a status that its sender understands, counted, and nobody else's."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from app.core.clock import Clock
from app.core.ids import new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.admission import LIMITED, Admission
from app.ingest.service import CreatedSource
from app.kv.peers import Peers
from app.settings import Settings
from tests.factories.ingest import Sender, alert_body, committed_source, make_sender, signed_headers
from tests.fixtures.database import make_tenant


@dataclass
class Ticks:
    """A clock that stands still until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def limit(resources: Resources, **limits: Any) -> None:
    settings = resources.get(Settings)
    values = {"burst_s": 1.0, "refresh_s": 600.0} | limits
    resources.provide(Settings, settings.model_copy(update={"limits": settings.limits.model_copy(update=values)}))


@pytest.fixture
async def limited(scratch_resources: Resources) -> AsyncIterator[Any]:
    """Makes an intake route with limits and a clock that stands still; it looks for changes when it is told to."""
    made: list[Sender] = []

    def make(**limits: Any) -> tuple[Sender, Admission, Ticks]:
        limit(scratch_resources, **limits)
        ticks = Ticks()
        admission = Admission(scratch_resources, ticks=ticks)
        # Neighbours' tests share the Redis, and would share the rates.
        admission._peers = Peers(scratch_resources.get(Redis), key=f"test:{new_id()}")
        sender = make_sender(scratch_resources, admission)
        made.append(sender)
        return sender, admission, ticks

    yield make
    for sender in made:
        await sender.client.aclose()
        await sender.app.aclose()


async def statuses(sender: Sender, source: CreatedSource, count: int) -> list[int]:
    return [(await sender.send(source)).status_code for _ in range(count)]


async def test_over_its_rate_a_tenant_is_asked_to_come_back_and_no_other_is(
    limited: Any, scratch_resources: Resources
) -> None:
    sender, _, ticks = limited(tenant_deliveries_per_s=5, retry_after_s=3)
    database = scratch_resources.get(Database)
    loud, quiet = [await committed_source(scratch_resources, await make_tenant(database)) for _ in range(2)]
    assert await statuses(sender, loud, 8) == [202] * 5 + [503] * 3
    refused = await sender.send(loud)
    assert (refused.headers["retry-after"], refused.json()["code"]) == ("3", "ingest.rate_limited")
    assert "connection" not in refused.headers, "a small body is read: the connection stays of use"
    assert await statuses(sender, quiet, 5) == [202] * 5
    ticks.now += 0.4
    assert await statuses(sender, loud, 3) == [202, 202, 503]


async def test_bytes_count_too_and_a_large_body_is_refused_unread(limited: Any, scratch_resources: Resources) -> None:
    sender, _, _ = limited(tenant_bytes_per_s=1000, tenant_deliveries_per_s=0)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    assert (await sender.send(source, alert_body(description="x" * 20_000))).status_code == 202
    refused = await sender.send(source, alert_body(description="x" * 20_000))
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")


async def test_a_stranger_who_knows_the_address_uses_nothing_up(limited: Any, scratch_resources: Resources) -> None:
    sender, _, _ = limited(tenant_deliveries_per_s=5)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    for _ in range(20):
        assert (await sender.client.post(source.url_path, content=b"{}")).status_code == 401
    assert await statuses(sender, source, 5) == [202] * 5


@pytest.mark.parametrize("door", ["", "/heartbeat", "/v2/enqueue"])
async def test_a_stranger_learns_nothing_of_a_source_that_is_over_its_limit(
    limited: Any, scratch_resources: Resources, door: str
) -> None:
    sender, _, _ = limited(tenant_deliveries_per_s=1)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    beat = {"content": b"", "headers": signed_headers(source, b"", sender.resources.get(Clock).now(), "beat")}
    assert (await sender.client.post(f"{source.url_path}/heartbeat", **beat)).status_code == 404
    assert await statuses(sender, source, 2) == [202, 503]
    for method, content in (("POST", b"{}"), ("POST", b"")):
        of_source = await sender.client.request(method, source.url_path + door, content=content)
        of_nobody = await sender.client.request(method, f"/in/{'0' * 26}{door}", content=content)
        assert (of_source.status_code, of_source.content) == (401, of_nobody.content)
        assert of_source.headers == of_nobody.headers


async def test_a_sender_that_retries_429_is_told_429_and_only_that_one(
    limited: Any, scratch_resources: Resources
) -> None:
    sender, _, _ = limited(tenant_deliveries_per_s=1)
    tenant = await make_tenant(scratch_resources.get(Database))
    source = await committed_source(scratch_resources, tenant)
    assert await statuses(sender, source, 2) == [202, 503]
    known = await sender.app.sources.find(source.source.public_id)
    assert known is not None
    retries_429 = dataclasses.replace(known, profile=_Told429(known.profile))
    sender.app.sources.peek = lambda _: retries_429
    assert await statuses(sender, source, 1) == [429]


async def test_refusals_are_counted_for_the_tenant_and_in_total(limited: Any, scratch_resources: Resources) -> None:
    sender, _, _ = limited(tenant_deliveries_per_s=2)
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(scratch_resources, tenant)
    before = LIMITED.labels("rate_limited")._value.get()
    await statuses(sender, source, 6)
    assert LIMITED.labels("rate_limited")._value.get() - before == 4
    await sender.app._refusals.flush()
    async with tenant_session(database, tenant) as session:
        rows = (await session.execute(text("select reason, count from source_refusals"))).all()
    assert [tuple(row) for row in rows] == [("rate_limited", 4)]


async def test_a_full_backlog_shuts_the_door_until_it_is_worked_off(limited: Any, scratch_resources: Resources) -> None:
    sender, admission, ticks = limited(tenant_backlog=3, tenant_deliveries_per_s=0, backlog_retry_after_s=7)
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(scratch_resources, tenant)
    assert await statuses(sender, source, 5) == [202] * 5, "what came since the last look is bounded by the rate"
    await admission.refresh()
    refused = await sender.send(source)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
    assert refused.json()["code"] == "ingest.backlog_full"
    async with tenant_session(database, tenant) as session:
        await session.execute(text("update deliveries set state = 'processed'"))
    ticks.now += 5
    await admission.refresh()
    assert (await sender.send(source)).status_code == 202


async def test_limits_that_were_set_hold_after_the_next_look(limited: Any, scratch_resources: Resources) -> None:
    sender, admission, ticks = limited(tenant_deliveries_per_s=100)
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    low, free = [await committed_source(scratch_resources, tenant) for _ in range(2)]
    assert await statuses(sender, low, 1) == [202]
    async with tenant_session(database, tenant) as session:
        await session.execute(
            text("""update sources set limits = '{"deliveries_per_s": 2}' where id = :id"""), {"id": low.source.id}
        )
    await admission.refresh()
    ticks.now += 10
    assert await statuses(sender, low, 4) == [202, 202, 503, 503]
    assert await statuses(sender, free, 4) == [202] * 4
    async with tenant_session(database, tenant) as session:
        await session.execute(text("update sources set limits = '{}'"))
        await session.execute(
            text("""insert into tenant_limits values (:tenant, '{"deliveries_per_s": 3}', now())"""), {"tenant": tenant}
        )
    await admission.refresh()
    ticks.now += 10
    assert await statuses(sender, low, 2) + await statuses(sender, free, 3) == [202, 202, 202, 503, 503]


async def test_too_many_alerts_shut_the_door_of_those_that_bring_them(
    limited: Any, scratch_resources: Resources
) -> None:
    sender, admission, _ = limited(tenant_alerts_per_min=1000, source_alerts_per_min=100, tenant_deliveries_per_s=0)
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    loud, quiet = [await committed_source(scratch_resources, tenant) for _ in range(2)]
    assert await statuses(sender, loud, 1) + await statuses(sender, quiet, 1) == [202, 202]
    async with tenant_session(database, tenant) as session:
        await session.execute(
            text("insert into intake_usage values (:t, :s, date_trunc('minute', clock_timestamp()), 500, 0)"),
            {"t": tenant, "s": loud.source.id},
        )
    await admission.refresh()
    assert await statuses(sender, loud, 1) + await statuses(sender, quiet, 1) == [503, 202]
    async with tenant_session(database, tenant) as session:
        await session.execute(text("update intake_usage set minute = minute - interval '5 minutes'"))
    await admission.refresh()
    assert await statuses(sender, loud, 1) == [202]


async def test_beats_get_through_while_deliveries_are_turned_away(limited: Any, scratch_resources: Resources) -> None:
    sender, _, _ = limited(tenant_deliveries_per_s=2)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    assert await statuses(sender, source, 3) == [202, 202, 503]
    body, now = b"{}", sender.resources.get(Clock).now()

    async def beat(number: int) -> int:
        headers = signed_headers(source, body, now, f"beat_{number}")
        return int(
            (await sender.client.post(f"{source.url_path}/heartbeat", content=body, headers=headers)).status_code
        )

    answers = [await beat(number) for number in range(4)]
    assert 503 not in answers[:2], "a tenant that floods has not fallen silent"
    assert answers[2:] == [503, 503], "and beats are limited too"


async def test_processes_share_a_rate_and_without_redis_what_was_known_holds(
    limited: Any, scratch_resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, admission, ticks = limited(tenant_deliveries_per_s=12)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    assert await statuses(sender, source, 1) == [202]
    key = f"test:{source.source.public_id}"
    redis = scratch_resources.get(Redis)
    admission._peers = Peers(redis, key=key)
    others = [Peers(redis, key=key) for _ in range(3)]
    assert [await other.count() for other in others] == [1, 2, 3]
    await admission.refresh()
    ticks.now += 10
    assert (await statuses(sender, source, 5)).count(202) == 3, "a quarter of twelve"

    async def away() -> int:
        raise ConnectionError

    monkeypatch.setattr(admission._peers, "count", away)
    await admission.refresh()
    ticks.now += 10
    assert (await statuses(sender, source, 5)).count(202) == 3
    await redis.delete(key)


async def test_while_the_database_is_away_limits_hold_as_known(
    limited: Any, scratch_resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, admission, ticks = limited(tenant_deliveries_per_s=2)
    source = await committed_source(scratch_resources, await make_tenant(scratch_resources.get(Database)))
    assert await statuses(sender, source, 3) == [202, 202, 503]

    async def away(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("app.ingest.admission.system_call", away)
    await admission.refresh()
    assert await statuses(sender, source, 1) == [503]
    ticks.now += 1
    assert await statuses(sender, source, 3) == [202, 202, 503]


async def test_tenants_in_memory_are_bounded_and_the_quiet_are_forgotten(
    limited: Any, scratch_resources: Resources
) -> None:
    sender, admission, ticks = limited(tenants_in_memory=2)
    database = scratch_resources.get(Database)
    for _ in range(3):
        assert await statuses(sender, await committed_source(scratch_resources, await make_tenant(database)), 1) == [
            202
        ]
    assert len(admission._tenants) == 2
    ticks.now += 120
    await admission.refresh()
    assert admission._tenants == {}


class _Told429:
    """A profile whose sender retries a 429."""

    def __init__(self, profile: Any) -> None:
        self._profile = profile
        self.responses = profile.responses.model_copy(update={"overload": 429})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._profile, name)
