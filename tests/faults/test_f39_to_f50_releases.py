"""Releases: old and new side by side, migrations under traffic, a way back; missing partitions; desks that take and time out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.clock import Clock, FakeClock
from app.core.jobs import JobRegistry
from app.core.resources import Resources
from app.db.catalogue import examine
from app.db.engine import Database
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.enhancement.schemas import EnhancementState
from app.settings import Settings
from tests.enhancement.world import World
from tests.factories.ingest import Sender, committed_source
from tests.faults.scene import Scene
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.jobs import CollectingPublisher, make_runner, run_jobs
from tests.fixtures.wait import wait_until
from tests.jobs.conftest import Bench, Note
from workers.relay import Relay
from workers.runner import Outcome


@dataclass(frozen=True, kw_only=True)
class NoteOfTomorrow(Note):
    """The next release's envelope: one field more, with a default."""

    kind: ClassVar[str] = Note.kind

    colour: str = "none"


@pytest.mark.fault("F39")
async def test_old_and_new_code_run_each_others_jobs_on_either_schema(bench: Bench, postgres: PostgresServer) -> None:
    seen: list[Note] = []
    old, new = JobRegistry(), JobRegistry()

    async def handler(ctx: JobContext, job: Note) -> None:
        seen.append(job)

    old.stepwise(Note)(handler)
    new.stepwise(NoteOfTomorrow)(handler)
    async with postgres.superuser(str(bench.database.app.url.database)) as connection:
        # What an expanding migration does before the new code comes.
        await connection.execute("alter table jobs add column colour text")
        await connection.execute("alter table effects add column colour text not null default ''")
    async with tenant_session(bench.database, bench.tenant_id) as session:
        by_old = await enqueue(session, Note(text="old"))
        by_new = await enqueue(session, NoteOfTomorrow(text="new", colour="red"))
    await bench.change("update jobs set state = 'published', published_at = now()")
    assert by_old is not None
    assert by_new is not None
    assert await make_runner(bench.resources, old).run(bench.tenant_id, by_new) is Outcome.SUCCEEDED
    assert await make_runner(bench.resources, new).run(bench.tenant_id, by_old) is Outcome.SUCCEEDED
    assert seen == [Note(text="new"), NoteOfTomorrow(text="old", colour="none")]


@pytest.mark.fault("F39")
async def test_two_apis_and_a_worker_that_is_replaced_share_the_load(scene: Scene) -> None:
    scene.stack.start("api2")
    await scene.stack.answering("api2")
    scene.sender._urls.append(scene.stack.url_of("api2"))

    async def roll() -> None:
        await scene.until("deliveries", "true", least=4)
        await asyncio.to_thread(scene.stack.terminate, "worker")
        scene.stack.start("worker")
        await asyncio.to_thread(scene.stack.terminate, "api2")

    async with asyncio.TaskGroup() as group:
        group.create_task(roll())
        group.create_task(scene.send(*(scene.alert(f"k{n % 6}", minute=n) for n in range(30)), over_s=2))
    await scene.verdict()


@pytest.mark.fault("F40")
async def test_expanding_under_traffic_costs_no_request(scene: Scene, postgres: PostgresServer) -> None:
    expansions = (
        "alter table jobs add column faults_note text not null default ''",
        "create index concurrently ix_faults on alerts (tenant_id, title)",
        "alter table alerts add constraint faults_check check (count >= 0) not valid",
        "alter table alerts validate constraint faults_check",
    )
    undo = (
        "alter table jobs drop column if exists faults_note",
        "drop index concurrently if exists ix_faults",
        "alter table alerts drop constraint if exists faults_check",
    )

    async def migrate() -> None:
        owner = await asyncpg.connect(scene.rig.server.dsn_for("tocsin_owner", database="faults"))
        await owner.execute("set lock_timeout = '200ms'")
        for statement in (*expansions, *undo):
            while True:
                try:
                    await owner.execute(statement)
                    break
                except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    await asyncio.sleep(0.1)
        await owner.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(migrate())
        group.create_task(scene.send(*(scene.alert(f"k{n % 6}", minute=n) for n in range(50)), over_s=3))
    assert set(scene.sender.log.answers) == {202}
    await scene.verdict()


@pytest.mark.fault("F41")
async def test_a_table_that_forgot_its_policy_is_found_and_closed_to_the_application(
    postgres: PostgresServer, scratch_name: str, scratch_database: Database
) -> None:
    owner = await asyncpg.connect(postgres.dsn("tocsin_owner", scratch_name))
    await owner.execute("create table forgotten (tenant_id uuid not null, id uuid not null, secret text)")
    await owner.execute("insert into forgotten values (gen_random_uuid(), gen_random_uuid(), 'other')")
    await owner.close()
    async with scratch_database.app.connect() as connection:
        found = await examine(connection)
    assert any("forgotten" in finding.what for finding in found)
    tenant = await make_tenant(scratch_database)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with tenant_session(scratch_database, tenant) as session:
            await session.execute(text("select * from forgotten"))


@pytest.mark.fault("F42")
async def test_a_job_of_the_release_that_was_taken_back_is_parked_and_run_by_the_next(bench: Bench) -> None:
    seen: list[str] = []

    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        seen.append(job.text)

    settings = bench.resources.get(Settings)
    jobs = settings.jobs.model_copy(update={"park_s": 0.5})
    bench.resources.provide(Settings, settings.model_copy(update={"jobs": jobs}))
    publisher = CollectingPublisher()
    relay = Relay(database=bench.database, publisher=publisher, settings=jobs)
    async with tenant_session(bench.database, bench.tenant_id) as session:
        job_id = await enqueue(session, Note(text="of tomorrow"))
    assert job_id is not None

    async def offered() -> dict[str, Any]:
        await wait_until(relay.tick, what="the relay offers the job by itself")
        assert [job.id for job in publisher.take()] == [job_id]
        return await bench.row()

    old = make_runner(bench.resources, JobRegistry())
    row = await offered()
    # As often as the old release is offered it: parked, never dropped, and no attempt is used up.
    for _ in range(2):
        assert await old.run(bench.tenant_id, job_id) is Outcome.PARKED
        parked = await bench.row()
        assert (parked["state"], parked["parked"], parked["attempt"]) == ("scheduled", True, 0)
        assert "does not know the kind" in parked["error"]
        assert parked["run_at"] - row["published_at"] >= timedelta(seconds=jobs.park_s)
        row = await offered()
        assert row["published_at"] >= parked["run_at"], "not before its time"
    assert await make_runner(bench.resources, bench.registry).run(bench.tenant_id, job_id) is Outcome.SUCCEEDED
    assert seen == ["of tomorrow"]


@pytest.mark.fault("F44")
async def test_without_a_partition_for_today_the_intake_goes_on(
    scratch_sender: Sender, scratch_resources: Resources, clock: FakeClock, postgres: PostgresServer, scratch_name: str
) -> None:
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(scratch_resources, tenant)
    async with postgres.superuser(scratch_name) as connection:
        # As after weeks without a relay: no day was made ahead, only the default partition is left.
        for row in await connection.fetch("select relation from tocsin_private.delivery_partitions()"):
            await connection.execute(f"drop table {row['relation']}")
    assert scratch_resources.get(Clock) is clock  # type: ignore[type-abstract]
    for _ in range(3):
        clock.advance(timedelta(days=20))
        assert (await scratch_sender.send(source)).status_code == 202
    await run_jobs(scratch_resources)
    async with tenant_session(database, tenant) as session:
        found = await session.execute(text("select state, count(*) from deliveries group by state"))
        assert [tuple(row) for row in found] == [("processed", 3)]


@pytest.mark.fault("F50")
@pytest.mark.parametrize("how", ["answers 500", "does not answer"])
async def test_a_desk_that_takes_the_note_and_fails_to_say_so_has_one_note(tickets: World, how: str) -> None:
    standin = tickets.desk.standin
    ticket = await tickets.receive()

    async def hang() -> None:
        if len(standin.notes_of(ticket.id)) == 1:
            standin.switches.after_storing = None
            await asyncio.sleep(tickets.resources.get(Settings).enhancement.desk_timeout_s + 0.5)

    if how == "answers 500":
        standin.switches.fail_after_storing = 1
    else:
        standin.switches.after_storing = hang

    async def published() -> bool:
        await tickets.run_until_settled()
        return (await tickets.enhancement(ticket)).state == EnhancementState.PUBLISHED

    await wait_until(published, timeout_s=20, every_s=0.2, what="it is found at the desk and recorded")
    assert len(standin.notes_of(ticket.id)) == 1
