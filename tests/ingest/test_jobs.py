"""From accepted deliveries to alerts: drained together, in order, and none of them lost or stuck."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import TenantSession, tenant_session
from app.ingest import jobs
from app.ingest.batches import store_batch
from app.ingest.schemas import ReceiptDetail
from app.ingest.service import accept_again, get_receipt, processing
from app.settings import Settings
from tests.factories.ingest import ACTOR, Sender, alert_body, committed_source, make_intake
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import make_runner, run_jobs
from workers.runner import Outcome


@pytest.fixture
async def tenant(scratch_database: Database) -> TenantId:
    return await make_tenant(scratch_database)


async def receipt_of(database: Database, tenant_id: TenantId, receipt_id: object) -> ReceiptDetail:
    async with tenant_session(database, tenant_id) as session:
        return await get_receipt(session, delivery_id=receipt_id)  # type: ignore[arg-type]


async def scalars(database: Database, tenant_id: TenantId, statement: str) -> list[Any]:
    async with tenant_session(database, tenant_id) as session:
        return list((await session.execute(text(statement))).scalars())


async def drains(database: Database, tenant_id: TenantId) -> list[str]:
    return await scalars(database, tenant_id, "select state from jobs where kind = 'ingest.drain_intake' order by id")


async def sweep(database: Database, *, older_than: timedelta) -> list[Any]:
    async with system_session(database, reason="test.sweep_intake") as session:
        found = await session.execute(
            text("select tenant_id, shard, job_id from tocsin_private.sweep_intake(:older, 100)"), {"older": older_than}
        )
        return list(found.all())


async def test_a_delivery_becomes_an_alert_and_its_receipt_says_so(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    source = await committed_source(scratch_resources, tenant)
    answer = (await scratch_sender.send(source, alert_body(id="q-1"))).json()
    assert (await receipt_of(scratch_database, tenant, answer["receipt_id"])).state == "accepted"
    assert await run_jobs(scratch_resources)
    receipt = await receipt_of(scratch_database, tenant, answer["receipt_id"])
    assert receipt.state == "processed"
    assert receipt.outcomes == {"opened": 1}
    assert receipt.alerts[0].dedup_key == "q-1"
    assert receipt.alerts[0].incident_id in receipt.incidents
    assert receipt.job_id is not None
    assert receipt.trace_id is not None
    assert await scalars(scratch_database, tenant, "select severity from incidents") == ["P1"]


async def test_what_follows_from_a_delivery_stays_in_its_trace(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    source = await committed_source(scratch_resources, tenant, kind="servicedesk")
    body = orjson.dumps({"event": "created", "request": {"id": "7", "subject": "Printer on fire"}})
    answer = (await scratch_sender.send(source, body)).json()
    await run_jobs(scratch_resources)
    receipt = await receipt_of(scratch_database, tenant, answer["receipt_id"])
    followed = await scalars(
        scratch_database, tenant, "select trace_context from jobs where kind <> 'ingest.drain_intake'"
    )
    assert followed, "a ticket is enhanced"
    assert {context.split("-")[1] for context in followed} == {receipt.trace_id}


async def test_firing_repeat_and_resolved_are_one_incident(
    scratch_sender: Sender,
    scratch_resources: Resources,
    scratch_database: Database,
    tenant: TenantId,
    clock: FakeClock,
) -> None:
    source = await committed_source(scratch_resources, tenant, kind="alertmanager", config={"replay_window_s": 1})

    def body(status: str, ends_at: str) -> bytes:
        alert = {
            "status": status,
            "labels": {"alertname": "Down"},
            "startsAt": "2030-01-07T11:59:00Z",
            "endsAt": ends_at,
        }
        return orjson.dumps({"version": "4", "groupKey": "k", "groupLabels": {"alertname": "Down"}, "alerts": [alert]})

    outcomes = []
    for status, ends_at in (
        ("firing", "0001-01-01T00:00:00Z"),
        ("firing", "0001-01-01T00:00:00Z"),
        ("resolved", "2030-01-07T12:00:05Z"),
    ):
        answer = (await scratch_sender.send(source, body(status, ends_at))).json()
        await run_jobs(scratch_resources)
        outcomes.append((await receipt_of(scratch_database, tenant, answer["receipt_id"])).outcomes)
        clock.advance(timedelta(seconds=10))
    assert outcomes == [{"opened": 1}, {"bumped": 1}, {"resolved": 1}]
    assert await scalars(scratch_database, tenant, "select state from incidents") == ["resolved"]


async def test_many_deliveries_of_several_sources_are_drained_by_few_jobs(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    sources = [await committed_source(scratch_resources, tenant) for _ in range(3)]
    answers = await asyncio.gather(*(scratch_sender.send(sources[i % 3]) for i in range(60)))
    assert {answer.status_code for answer in answers} == {202}
    assert set(await run_jobs(scratch_resources)) == {Outcome.SUCCEEDED}
    assert len(await drains(scratch_database, tenant)) <= scratch_resources.get(Settings).ingest.shards
    assert await scalars(scratch_database, tenant, "select distinct state from deliveries") == ["processed"]
    assert await scalars(scratch_database, tenant, "select count(*) from alerts") == [60]


async def test_what_cannot_be_parsed_is_rejected_with_its_reason_and_kept(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    source = await committed_source(scratch_resources, tenant)
    bad = (await scratch_sender.send(source, b'{"title": ')).json()
    good = (await scratch_sender.send(source)).json()
    await run_jobs(scratch_resources)
    rejected = await receipt_of(scratch_database, tenant, bad["receipt_id"])
    assert (rejected.state, rejected.reason) == ("rejected", "body.not_json")
    assert (await receipt_of(scratch_database, tenant, good["receipt_id"])).state == "processed"
    kept = await scalars(scratch_database, tenant, "select body from deliveries where state = 'rejected'")
    assert kept == [b'{"title": ']


async def test_a_delivery_without_alerts_is_processed_and_says_so(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:  # B25
    source = await committed_source(scratch_resources, tenant, kind="alertmanager")
    answer = (await scratch_sender.send(source, b'{"version":"4","groupKey":"k","alerts":[]}')).json()
    await run_jobs(scratch_resources)
    receipt = await receipt_of(scratch_database, tenant, answer["receipt_id"])
    assert (receipt.state, receipt.alerts) == ("processed", [])
    assert receipt.warnings == ["the delivery carries no alerts"]


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Deliveries whose body holds 'poison' raise what nobody expected; the list gathers the tries."""
    tries: list[str] = []
    real = processing.process

    async def process(session: TenantSession, deliveries: Any, **values: Any) -> Any:
        if any(b"poison" in delivery.body for delivery in deliveries):
            tries.append("poison")
            await session.execute(text("select 1 / 0"))
        return await real(session, deliveries, **values)

    monkeypatch.setattr(jobs, "process", process)
    return tries


async def test_one_poison_delivery_is_set_aside_and_its_neighbours_go_on(
    scratch_sender: Sender,
    scratch_resources: Resources,
    scratch_database: Database,
    tenant: TenantId,
    poisoned: list[str],
) -> None:  # F32
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(5)))
    bad = (await scratch_sender.send(source, alert_body(title="poison"))).json()
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(5)))
    ran = await run_jobs(scratch_resources)
    assert set(ran) == {Outcome.SUCCEEDED}, "a delivery's fault is not the job's"
    receipt = await receipt_of(scratch_database, tenant, bad["receipt_id"])
    assert (receipt.state, receipt.reason, receipt.attempts) == ("failed", "intake.gave_up", 3)
    assert "after 3 attempts" in receipt.detail
    assert await scalars(scratch_database, tenant, "select count(*) from alerts") == [10]


async def test_a_delivery_that_kills_its_worker_is_counted_before_it_is_tried(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:  # F32: the process is gone before it can write anything down
    source = await committed_source(scratch_resources, tenant)
    answer = (await scratch_sender.send(source)).json()
    async with tenant_session(scratch_database, tenant) as session:
        # As three killed workers leave it: their attempts committed, their work not; the job is on its second run.
        await session.execute(text("update deliveries set attempts = 3"))
        await session.execute(text("update jobs set attempt = 1"))
    await run_jobs(scratch_resources)
    receipt = await receipt_of(scratch_database, tenant, answer["receipt_id"])
    assert (receipt.state, receipt.reason) == ("failed", "intake.gave_up")


async def test_a_failed_delivery_can_be_tried_again(
    scratch_sender: Sender,
    scratch_resources: Resources,
    scratch_database: Database,
    tenant: TenantId,
    clock: FakeClock,
    poisoned: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = await committed_source(scratch_resources, tenant)
    bad = (await scratch_sender.send(source, alert_body(title="poison"))).json()
    await run_jobs(scratch_resources)
    monkeypatch.undo()
    async with tenant_session(scratch_database, tenant) as session:
        await accept_again(session, delivery_id=bad["receipt_id"], actor=ACTOR, now=clock.now())
    assert len(await sweep(scratch_database, older_than=timedelta(0))) == 1
    await run_jobs(scratch_resources)
    assert (await receipt_of(scratch_database, tenant, bad["receipt_id"])).state == "processed"


async def test_a_backlog_goes_on_in_jobs_that_give_way(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    settings = scratch_resources.get(Settings)
    changes = {"drain_first_batch_size": 1, "drain_batch_size": 2, "drain_budget_s": 1e-9}
    small = settings.ingest.model_copy(update=changes)
    scratch_resources.provide(Settings, settings.model_copy(update={"ingest": small}))
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(6)))
    await run_jobs(scratch_resources)
    assert await scalars(scratch_database, tenant, "select distinct state from deliveries") == ["processed"]
    drains = "select kind || ' ' || priority from jobs where kind like 'ingest.%' order by created_at, id"
    # One, then two and two, then the last; a successor is there only while something is left.
    assert await scalars(scratch_database, tenant, drains) == [
        "ingest.drain_intake 100",
        *["ingest.drain_backlog 200"] * 3,
    ]


async def test_a_delivery_that_relied_on_a_job_drained_before_it_committed_is_not_stranded(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    """The race of coalescing: the late batch meets a scheduled job, and commits when that job is long done."""
    source = await committed_source(scratch_resources, tenant)
    settings = scratch_resources.get(Settings).ingest
    await scratch_sender.send(source)  # schedules the job
    [shard] = await scalars(scratch_database, tenant, "select shard from deliveries")
    late = make_intake(source, shard=shard)
    async with tenant_session(scratch_database, tenant) as session:
        await store_batch(session, [late], settings=settings)
        await run_jobs(scratch_resources)
    assert await drains(scratch_database, tenant) == ["succeeded"], "the late batch relied on the job that is done"
    assert (await receipt_of(scratch_database, tenant, late.id)).state == "accepted"
    assert await sweep(scratch_database, older_than=timedelta(minutes=1)) == [], "not yet: it may be on its way"
    [swept] = await sweep(scratch_database, older_than=timedelta(0))
    assert (swept.tenant_id, swept.shard, swept.job_id.version) == (tenant, shard, 7)
    assert await sweep(scratch_database, older_than=timedelta(0)) == [], "once is enough"
    await run_jobs(scratch_resources)
    assert await drains(scratch_database, tenant) == ["succeeded", "succeeded"]
    assert (await receipt_of(scratch_database, tenant, late.id)).state == "processed"


async def test_the_sweep_looks_at_every_tenant_and_leaves_those_with_an_open_job_alone(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database
) -> None:
    tenants = [await make_tenant(scratch_database) for _ in range(3)]
    for tenant in tenants:
        await scratch_sender.send(await committed_source(scratch_resources, tenant))
    for state in ("scheduled", "published", "running"):
        for tenant in tenants:
            async with tenant_session(scratch_database, tenant) as session:
                await session.execute(text("update jobs set state = :state"), {"state": state})
        assert await sweep(scratch_database, older_than=timedelta(0)) == [], state
    for tenant in tenants:
        async with tenant_session(scratch_database, tenant) as session:
            await session.execute(text("update jobs set state = 'scheduled'"))
    for tenant in tenants[:2]:
        async with tenant_session(scratch_database, tenant) as session:
            await session.execute(text("delete from jobs"))
    assert {row.tenant_id for row in await sweep(scratch_database, older_than=timedelta(0))} == set(tenants[:2])
    assert set(await run_jobs(scratch_resources)) == {Outcome.SUCCEEDED}
    for tenant in tenants:
        assert await scalars(scratch_database, tenant, "select state from deliveries") == ["processed"]


async def test_two_workers_on_one_shard_share_the_deliveries(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(30)))
    async with tenant_session(scratch_database, tenant) as session:
        await session.execute(
            text(
                "insert into jobs (tenant_id, id, kind, queue, payload, unique_key, coalesces, max_attempts, state)"
                " select tenant_id, gen_random_uuid(), kind, queue, payload, null, coalesces, max_attempts, 'published'"
                " from jobs"
            )
        )
        await session.execute(text("update jobs set state = 'published'"))
        ids = list((await session.execute(text("select id from jobs"))).scalars())
    runner = make_runner(scratch_resources)
    assert len(ids) == 2
    outcomes = await asyncio.gather(*(runner.run(tenant, job_id) for job_id in ids))
    assert set(outcomes) == {Outcome.SUCCEEDED}
    await run_jobs(scratch_resources)
    assert await scalars(scratch_database, tenant, "select count(*) from alerts") == [30]
    assert await scalars(scratch_database, tenant, "select distinct state from deliveries") == ["processed"]


async def test_expired_replay_keys_are_removed_in_bounded_steps(
    scratch_sender: Sender, scratch_resources: Resources, scratch_database: Database, tenant: TenantId
) -> None:  # I8
    source = await committed_source(scratch_resources, tenant)
    await asyncio.gather(*(scratch_sender.send(source) for _ in range(3)))
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant) as session:
        await session.execute(text("update replay_keys set expires_at = now() - interval '1 hour'"))
    async with system_session(scratch_database, reason="test.purge") as session:
        expire = text("select tocsin_private.expire_replay_keys(2)")
        assert [(await session.execute(expire)).scalar_one() for _ in range(3)] == [2, 1, 0]
