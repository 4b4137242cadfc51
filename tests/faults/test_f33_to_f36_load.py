"""Duplicates, disorder and floods."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.core.clock import SystemClock
from app.core.failpoints import armed
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.rules.flood import FLOOD_GROUP, StormRule
from app.incidents.schemas import AlertOutcome, Severity
from app.incidents.service import IncidentFilter, get_storm, list_incidents
from app.settings import Settings
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.factories.ingest import committed_source, make_sender
from tests.faults.murmur import murmur
from tests.faults.scene import Scene
from tests.faults.sender import Sent
from tests.faults.wards import close_wards, histories, make_ward
from tests.fixtures.database import make_tenant


@pytest.mark.fault("F33")
async def test_a_hundred_copies_at_once_are_one_event_one_incident_and_one_job(scene: Scene) -> None:
    one = scene.alert()
    answers = await asyncio.gather(*(scene.post(one) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    await scene.verdict()
    for table in ("deliveries", "alerts", "incidents"):
        assert await scene.count(table) == 1, table
    assert await scene.count("jobs", "kind like 'ingest.%'") == 1


@pytest.mark.fault("F34")
async def test_shuffled_histories_end_as_sorted_ones(scene: Scene) -> None:
    sent = histories(scene.ward, random.Random(34), keys=12, start=SystemClock().now())
    await scene.send(*sent, over_s=1)
    evidence = await scene.verdict()
    assert len(evidence.tenants[0].rows["heads"]) == 12


def storm(scene: Scene, number: int, *, size: int) -> Sent:
    """One delivery with many alerts: half of them repeat, a quarter resolve, ten groups."""
    alerts = [
        {
            "id": f"{scene.ward.tag}-{(number * size + n) // 2}",
            "title": "Storm",
            "status": "resolved" if n % 4 == 3 else "firing",
            "labels": {"alertname": "Storm", "cluster": f"c{n % 10}"},
        }
        for n in range(size)
    ]
    return Sent(scene.ward.monitor, f"{scene.ward.tag}-storm-{number}", orjson.dumps(alerts), f"storm-{number}")


@pytest.mark.fault("F35")
async def test_a_storm_of_one_tenant_is_grouped_and_a_quiet_one_hardly_notices(scene: Scene) -> None:
    source = scene.ward.monitor.source_id
    assert (await scene.ward.api.patch(f"/v1/sources/{source}", json={"group_by": ["cluster"]})).status_code == 200
    quiet = await make_ward(scene.rig, f"quiet{scene.ward.tag}")
    heard, overtaken = asyncio.Event(), list[int]()

    async def listen() -> None:
        overtaken.extend(await murmur(scene, quiet, count=25, pause_s=0.05))
        heard.set()

    async def rage(numbers: Iterator[int], client: httpx.AsyncClient) -> None:
        while (number := next(numbers)) < 300 or not heard.is_set():
            await scene.sender.send(storm(scene, number, size=34), client)

    numbers = itertools.count()
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        group.create_task(listen())
        for _ in range(12):
            group.create_task(rage(numbers, client))
    # The storm outlives the murmur: one that was heard only behind it would have been overtaken by hundreds.
    assert max(overtaken) <= 24, f"heard in turn, between those of the storm that were under way: {overtaken}"
    evidence = await scene.verdict()
    deliveries = evidence.tenants[0].rows["deliveries"]
    assert len(deliveries) >= 300
    assert {row["state"] for row in deliveries} == {"processed"}
    assert await scene.count("incidents") <= 10, "10,000 alerts, ten groups"
    assert await quiet.value("select count(*) from alerts where tenant_id = $1") == 25
    await close_wards([quiet])


@pytest.mark.fault("F35")
async def test_a_tenant_that_fills_its_queue_is_told_to_wait_and_no_other(scratch_resources: Resources) -> None:
    settings = scratch_resources.get(Settings)
    ingest = settings.ingest.model_copy(update={"queue_size": 3, "batch_size": 1})
    scratch_resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))
    database, sender = scratch_resources.get(Database), make_sender(scratch_resources)
    loud, quiet = [await committed_source(scratch_resources, await make_tenant(database)) for _ in range(2)]
    release = asyncio.Event()

    async def hold() -> None:
        await release.wait()

    assert {(await sender.send(source)).status_code for source in (loud, quiet)} == {202}
    with armed({"ingest.before_insert": hold}):
        waiting = [asyncio.create_task(sender.send(loud)) for _ in range(12)]
        first_refused = [task.result().status_code for task in (await asyncio.wait(waiting, timeout=0.3))[0]]
        release.set()
        assert (await sender.send(quiet)).status_code == 202
        answers = [task.result().status_code for task in waiting if await asyncio.wait([task])]
    assert set(first_refused) == {503}, "one is written, a few wait, the rest is turned away unread"
    assert len(first_refused) >= 8
    assert answers.count(202) == len(waiting) - len(first_refused) > 0
    await sender.client.aclose()
    await sender.app.aclose()


async def open_incidents(database: Database, tenant: TenantId) -> list[str]:
    async with tenant_session(database, tenant) as session:
        found = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=1000)
        keys = await session.execute(text("select group_key from incidents where state = 'open' order by id"))
        assert len(found) == len(set(found_id.id for found_id in found))
        return list(keys.scalars())


@pytest.mark.fault("F36")
async def test_a_flood_of_distinct_alerts_makes_one_storm_incident_and_not_one_each(scratch_database: Database) -> None:
    # 3,000 instead of 100,000: the number of batches is what counts, and each is of the usual size.
    rule, now = StormRule(opens=20, p0_opens=5), SystemClock().now()
    tenant, source = await make_tenant(scratch_database), make_source(storm=rule)
    outcomes: Counter[AlertOutcome] = Counter()
    for batch in range(10):
        events = [make_event(f"k{batch}-{n}", at=now) for n in range(300)]
        async with tenant_session(scratch_database, tenant) as session:
            applied = await deliver(session, source, *events, now=now, seq=batch)
        assert all(one.alert_id is not None for one in applied), "no alert is dropped"
        outcomes += Counter(one.outcome for one in applied)
    assert outcomes == {AlertOutcome.OPENED: 20, AlertOutcome.COLLAPSED: 2980}
    keys = await open_incidents(scratch_database, tenant)
    assert len(keys) == 21
    assert keys.count(FLOOD_GROUP) == 1
    async with tenant_session(scratch_database, tenant) as session:
        (storm_id,) = (await session.scalars(text("select incident_id from storms"))).all()
        storm = await get_storm(session, incident_id=storm_id)
        lines = await session.scalar(
            text("select count(*) from timeline_entries where incident_id = :id"), {"id": storm_id}
        )
    assert (storm.collapsed, storm.firing[Severity.P2], storm.resolved) == (2980, 2980, 0)
    assert lines <= 4, "it opened, a storm began, it grew: not a line for each batch"
    other = make_source()
    async with tenant_session(scratch_database, tenant) as session:
        await deliver(session, other, make_event("quiet", at=now), now=now, seq=99)
    assert (await open_incidents(scratch_database, tenant))[-1] == "alert:quiet", "another source keeps its own"
    for batch in range(10):
        events = [make_resolve(f"k{batch}-{n}", at=now) for n in range(300)]
        async with tenant_session(scratch_database, tenant) as session:
            await deliver(session, source, *events, now=now, seq=100 + batch)
    assert await open_incidents(scratch_database, tenant) == ["alert:quiet"], "it ends with the last of its alerts"


@pytest.mark.fault("F36")
async def test_floods_that_race_share_one_storm_incident(scratch_database: Database) -> None:
    rule, now = StormRule(opens=5), SystemClock().now()
    tenant, source = await make_tenant(scratch_database), make_source(storm=rule)

    async def flood(batch: int) -> None:
        events = [make_event(f"k{batch}-{n}", at=now) for n in range(30)]
        async with tenant_session(scratch_database, tenant) as session:
            await deliver(session, source, *events, now=now, seq=batch)

    await asyncio.gather(*(flood(batch) for batch in range(8)))
    keys = await open_incidents(scratch_database, tenant)
    assert keys.count(FLOOD_GROUP) == 1
    assert len(keys) == 5 + 1, "each waits for the group of the flood and then sees what the others opened"
    async with tenant_session(scratch_database, tenant) as session:
        assert await session.scalar(text("select collapsed from storms")) == 8 * 30 - 5
