"""Storms on the real database: begun, counted, ended by their timer, told about; and tenants that cannot touch each other's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.actor import Actor
from app.core.clock import Clock, FakeClock
from app.core.ids import IncidentId, TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.rules.flood import TENANT_FLOOD, StormRule
from app.incidents.schemas import AlertOutcome, AppliedAlert, IncidentView, Severity, SourceFacts, StormView
from app.incidents.service import GroupHasOpenIncident, get_storm, reopen_incident, resolve_incident
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.incidents.conftest import Heard

RULE = StormRule(opens=5, p0_opens=2, quiet_s=300)


async def flood(
    database: Database, tenant: TenantId, source: SourceFacts, *keys: str, clock: FakeClock, **changes: Any
) -> list[AppliedAlert]:
    events = [make_event(key, at=clock.now(), **changes) for key in keys]
    async with tenant_session(database, tenant) as session:
        return await deliver(session, source, *events, now=clock.now(), seq=1)


async def storm_of(database: Database, tenant: TenantId, incident_id: UUID | None) -> StormView:
    assert incident_id is not None
    async with tenant_session(database, tenant) as session:
        return await get_storm(session, incident_id=IncidentId(incident_id))


async def lines(database: Database, tenant: TenantId, incident_id: UUID | None) -> list[str]:
    async with tenant_session(database, tenant) as session:
        found = await session.execute(
            text("select kind from timeline_entries where incident_id = :id order by id"), {"id": incident_id}
        )
        return list(found.scalars())


async def test_a_receipt_names_the_storm_and_the_timeline_its_beginning(
    database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(storm=RULE)
    applied = await flood(database, tenant_id, source, *(f"k{n}" for n in range(9)), clock=clock)
    collapsed = [one for one in applied if one.outcome is AlertOutcome.COLLAPSED]
    assert len(collapsed) == 4
    (incident_id,) = {one.incident_id for one in collapsed}
    async with tenant_session(database, tenant_id) as session:
        number = await session.scalar(text("select number from incidents where id = :id"), {"id": incident_id})
    assert {one.reason.partition(":")[0] for one in collapsed} == {f"collapsed into storm incident {number}"}
    assert await lines(database, tenant_id, incident_id) == ["incident.opened", "storm.began"]
    view = await storm_of(database, tenant_id, incident_id)
    assert (view.collapsed, view.firing[Severity.P2], view.ended_at) == (4, 4, None)
    assert [(top.label, top.other) for top in view.top] == [("alertname", 0), ("host", 0)]
    assert view.top[1].values[0].model_dump() == {"value": "db-1", "count": 4}


async def test_its_timer_ends_it_once_the_flood_is_gone_and_says_what_it_took_in(
    scratch_resources: Resources, scratch_database: Database
) -> None:
    clock = scratch_resources.get(Clock)  # type: ignore[type-abstract]
    assert isinstance(clock, FakeClock)
    tenant, source = await make_tenant(scratch_database), make_source(storm=RULE)
    applied = await flood(scratch_database, tenant, source, *(f"k{n}" for n in range(8)), clock=clock)
    incident_id = applied[-1].incident_id
    clock.advance(timedelta(seconds=200))
    await flood(scratch_database, tenant, source, "late-1", "late-2", "late-3", clock=clock)
    clock.advance(timedelta(seconds=150))
    await run_jobs(scratch_resources)
    assert (await storm_of(scratch_database, tenant, incident_id)).ended_at is None, "it went on at 200 s"
    clock.advance(timedelta(seconds=200))
    await run_jobs(scratch_resources)
    view = await storm_of(scratch_database, tenant, incident_id)
    assert (view.ended_at is not None, view.collapsed, view.resolved) == (True, 6, 0)
    assert (await lines(scratch_database, tenant, incident_id))[-1] == "storm.ended"
    (after,) = await flood(scratch_database, tenant, source, "calm", clock=clock)
    assert (after.outcome, after.incident_id != incident_id) == (AlertOutcome.OPENED, True)


async def test_a_second_flood_goes_into_the_same_incident_while_that_is_open(
    scratch_resources: Resources, scratch_database: Database
) -> None:
    clock = scratch_resources.get(Clock)  # type: ignore[type-abstract]
    assert isinstance(clock, FakeClock)
    tenant, source = await make_tenant(scratch_database), make_source(storm=RULE)
    first = (await flood(scratch_database, tenant, source, *(f"a{n}" for n in range(8)), clock=clock))[-1]
    clock.advance(timedelta(seconds=400))
    await run_jobs(scratch_resources)
    second = (await flood(scratch_database, tenant, source, *(f"b{n}" for n in range(8)), clock=clock))[-1]
    assert second.incident_id == first.incident_id
    view = await storm_of(scratch_database, tenant, first.incident_id)
    assert (view.times, view.collapsed, view.ended_at) == (2, 6, None)


async def test_p0_opens_its_own_in_a_storm_and_facts_are_stated_once(
    database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(storm=RULE)
    await flood(database, tenant_id, source, *(f"k{n}" for n in range(9)), clock=clock)
    heard.facts.clear()
    applied = await flood(database, tenant_id, source, "p0-1", "p0-2", "p0-3", clock=clock, severity=Severity.P0)
    assert [one.outcome for one in applied] == [AlertOutcome.OPENED] * 2 + [AlertOutcome.COLLAPSED]
    assert heard.names().count("IncidentOpened") == 2


async def test_the_sources_of_a_tenant_together_share_one_storm(
    database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    rule = StormRule(opens=100, tenant_opens=6)
    homes = []
    for _ in range(4):
        homes += await flood(database, tenant_id, make_source(storm=rule), "a", "b", "c", clock=clock)
    assert Counter(one.outcome for one in homes) == {AlertOutcome.OPENED: 6, AlertOutcome.COLLAPSED: 6}
    (incident_id,) = {one.incident_id for one in homes if one.outcome is AlertOutcome.COLLAPSED}
    view = await storm_of(database, tenant_id, incident_id)
    assert (view.source_id, view.collapsed) == (None, 6)
    async with tenant_session(database, tenant_id) as session:
        group = await session.scalar(text("select group_key from incidents where id = :id"), {"id": incident_id})
    assert group == TENANT_FLOOD


async def test_a_reopened_storm_of_the_tenant_takes_in_the_next_flood_of_whichever_source(
    database: Database, tenant_id: TenantId, clock: FakeClock, ana: Actor, heard: Heard
) -> None:
    """Its group belongs to all sources together, so no source's own group says which incident of it is open."""
    first, second = (make_source(storm=StormRule(opens=100, tenant_opens=4)) for _ in range(2))

    async def storm_from(source: SourceFacts, letter: str) -> IncidentId:
        clock.advance(timedelta(hours=1))
        applied = await flood(database, tenant_id, source, *(f"{letter}{n}" for n in range(6)), clock=clock)
        assert (applied[-1].outcome, applied[-1].incident_id is None) == (AlertOutcome.COLLAPSED, False)
        return IncidentId(applied[-1].incident_id or UUID(int=0))

    async def step(what: Callable[..., Awaitable[IncidentView]], incident_id: IncidentId) -> None:
        async with tenant_session(database, tenant_id) as session:
            await what(session, incident_id=incident_id, actor=ana, reason="", now=clock.now())

    older = await storm_from(first, "a")
    await step(resolve_incident, older)
    newer = await storm_from(second, "b")
    with pytest.raises(GroupHasOpenIncident):
        await step(reopen_incident, older)
    await step(resolve_incident, newer)
    await step(reopen_incident, older)
    assert newer != older
    assert await storm_from(second, "c") == older
    assert await storm_from(first, "d") == older


async def test_the_api_shows_a_storm_and_only_a_storm(
    api: httpx.AsyncClient,
    viewer: dict[str, str],
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
    heard: Heard,
) -> None:
    applied = await flood(database, tenant_id, make_source(storm=RULE), *(f"k{n}" for n in range(7)), clock=clock)
    shown = await api.get(f"/v1/incidents/{applied[-1].incident_id}/storm", headers=viewer)
    assert shown.status_code == 200
    assert (shown.json()["collapsed"], shown.json()["firing"]["P2"]) == (2, 2)
    other = await api.get(f"/v1/incidents/{applied[0].incident_id}/storm", headers=viewer)
    assert (other.status_code, other.json()["code"]) == (404, "incident.no_storm")


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # the tenant
        st.integers(0, 1),  # its source
        st.sampled_from(["flood", "flood", "resolve", "p0", "expire"]),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)

_RECKONED = """
select i.id, s.collapsed, s.firing_p0, s.firing_p1, s.firing_p2, s.firing_p3,
  (select count(*) from alerts a where a.incident_id = i.id) as alerts,
  (select jsonb_object_agg(severity, n) from (
    select severity, count(*) as n from alerts a where a.incident_id = i.id and a.status = 'firing' group by severity) f
  ) as firing
from storms s join incidents i on i.id = s.incident_id
"""


@given(steps=STEPS, seed=st.integers(0, 2**32))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_of_floods_resolves_and_p0s_adds_up_and_stays_with_its_tenant(
    database: Database, clock: FakeClock, heard: Heard, steps: list[tuple[int, int, str, int]], seed: int
) -> None:
    tenants = [await make_tenant(database) for _ in range(3)]
    sources = [[make_source(storm=RULE) for _ in range(2)] for _ in tenants]
    rng, said = random.Random(seed), [0, 0, 0]

    async def act(number: int, step: tuple[int, int, str, int]) -> None:
        tenant, source, what, first = step
        keys = [f"k{(first + n) % 30}" for n in range(rng.randrange(1, 12))]
        severity = Severity.P0 if what == "p0" else Severity.P2
        make = make_resolve if what in ("resolve", "expire") else make_event
        at = clock.now() + timedelta(seconds=number)
        events = [make(key, at=at, severity=severity) for key in keys]
        async with tenant_session(database, tenants[tenant]) as session:
            applied = await deliver(session, sources[tenant][source], *events, now=clock.now(), seq=number)
        said[tenant] += len(applied)
        assert len(applied) == len(events), "every event has its outcome"

    await asyncio.gather(*(act(number, step) for number, step in enumerate(steps)))
    for tenant, name in zip(tenants, sources, strict=True):
        async with tenant_session(database, tenant) as session:
            for row in (await session.execute(text(_RECKONED))).all():
                firing = row.firing or {}
                assert row.collapsed == row.alerts
                told = (row.firing_p0, row.firing_p1, row.firing_p2, row.firing_p3)
                assert told == tuple(firing.get(severity.value, 0) for severity in Severity)
            for table in ("incidents", "alerts", "alert_heads"):
                strangers = await session.scalar(
                    text(f"select count(*) from {table} where source_id <> all(cast(:own as uuid[]))"),
                    {"own": [source.id for source in name]},
                )
                assert strangers == 0, table
            floods = await session.execute(
                text("select source_id, count(*) from storms where ended_at is null group by source_id")
            )
            assert all(count == 1 for _, count in floods.all())
