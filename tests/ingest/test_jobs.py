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
from app.db.tenancy import TenantSession, tenant_session
from app.ingest import jobs
from app.ingest.service import accept_again, processing
from app.settings import Settings
from tests.factories.ingest import ACTOR, Sender, alert_body, committed_source
from tests.fixtures.jobs import run_jobs
from tests.ingest.drains import drains, receipt_of, scalars, sweep
from workers.runner import Outcome


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


async def test_a_lock_that_is_held_for_long_gives_up_nobodys_alert(
    scratch_sender: Sender,
    scratch_resources: Resources,
    scratch_database: Database,
    tenant: TenantId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a migration, an operator or a neighbour: far more often than a delivery may fail for reasons of its own."""
    source = await committed_source(scratch_resources, tenant)
    answer = (await scratch_sender.send(source)).json()
    process = processing.process
    tries: list[int] = []

    async def behind_a_lock(session: TenantSession, *args: Any, **kwargs: Any) -> Any:
        tries.append(len(tries))
        if len(tries) < 12:
            await session.execute(text("set local lock_timeout = '1ms'"))
            await session.execute(text("select 1 from sources for update"))
        return await process(session, *args, **kwargs)

    monkeypatch.setattr(jobs, "process", behind_a_lock)
    async with tenant_session(scratch_database, tenant) as holding:
        await holding.execute(text("select 1 from sources for update"))
        while len(tries) < 10:
            await run_jobs(scratch_resources)
    await run_jobs(scratch_resources)
    await run_jobs(scratch_resources)
    receipt = await receipt_of(scratch_database, tenant, answer["receipt_id"])
    assert (receipt.state, receipt.attempts) == ("processed", 1), "only the try that succeeded counts"
    assert await scalars(scratch_database, tenant, "select count(*) from alerts") == [1]


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
