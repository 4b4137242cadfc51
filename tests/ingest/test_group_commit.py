"""Sharing commits: each waits for its own, nobody waits for ever, and one bad row takes nobody along."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.batches import store_batch
from app.ingest.group_commit import GroupCommit, Overloaded
from app.ingest.schemas import Intake, Stored
from app.settings import Settings
from app.settings.ingest import IngestSettings
from tests.factories.ingest import committed_source, make_intake

A, B = TenantId(new_id()), TenantId(new_id())


class Disk:
    """A stand-in for the database: writes when it is let, and keeps what it wrote."""

    def __init__(self) -> None:
        self.batches: list[list[Intake]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.started = asyncio.Event()
        self.fails: Exception | None = None

    async def write(self, tenant_id: TenantId, batch: Sequence[Intake]) -> list[Stored]:
        self.started.set()
        await self.open.wait()
        if self.fails is not None:
            raise self.fails
        if any(intake.body == b"bad" for intake in batch):
            raise asyncpg.DataError("bad")
        self.batches.append(list(batch))
        return [Stored(intake.id, duplicate=False) for intake in batch]


def intake(body: bytes = b"{}") -> Intake:
    fake = type("Created", (), {"source": type("Source", (), {"id": new_id()})})
    return make_intake(fake, body=body)  # type: ignore[arg-type]


async def test_what_arrives_during_a_commit_shares_the_next() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings())
    disk.open.clear()
    first = asyncio.create_task(commits.submit(A, intake()))
    await disk.started.wait()
    others = [asyncio.create_task(commits.submit(A, intake())) for _ in range(10)]
    await asyncio.sleep(0)
    disk.open.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in disk.batches] == [1, 10]


async def test_each_request_gets_its_own_result_and_tenants_never_share_a_batch() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings(batch_size=4))
    mine = [intake() for _ in range(10)]
    theirs = [intake() for _ in range(10)]
    results = await asyncio.gather(
        *(commits.submit(A, one) for one in mine), *(commits.submit(B, one) for one in theirs)
    )
    assert [result.receipt_id for result in results] == [one.id for one in [*mine, *theirs]]
    assert max(len(batch) for batch in disk.batches) <= 4
    known = {one.id for one in mine}
    assert all(len({one.id in known for one in batch}) == 1 for batch in disk.batches)


async def test_a_batch_is_bounded_in_bytes() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings(batch_bytes=1_048_576))
    await asyncio.gather(*(commits.submit(A, intake(b"x" * 600_000)) for _ in range(3)))
    assert [len(batch) for batch in disk.batches] == [1, 1, 1]


async def test_a_sender_that_hangs_up_takes_no_neighbour_along() -> None:  # F47
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings())
    disk.open.clear()
    requests = [asyncio.create_task(commits.submit(A, intake())) for _ in range(3)]
    await disk.started.wait()
    requests[1].cancel()
    await asyncio.gather(requests[1], return_exceptions=True)
    disk.open.set()
    await asyncio.gather(requests[0], requests[2])
    await commits.drain()
    assert requests[1].cancelled()
    assert sum(len(batch) for batch in disk.batches) == 3, "what was taken is written"


async def test_a_database_that_does_not_answer_gives_503_soon_and_for_those_behind_too() -> None:  # F24, F45
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings(commit_wait_s=0.1, batch_size=1))
    disk.open.clear()
    loop = asyncio.get_running_loop()
    started = loop.time()
    results = await asyncio.gather(*(commits.submit(A, intake()) for _ in range(5)), return_exceptions=True)
    assert loop.time() - started < 0.8
    assert {type(result) for result in results} == {Overloaded}
    disk.open.set()
    await commits.drain()
    assert [len(batch) for batch in disk.batches] == [1], "those who gave up while waiting are not written"


async def test_what_was_given_up_is_held_no_longer_while_the_database_hangs() -> None:  # F45, I8
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings(commit_wait_s=0.1, queue_size=4))
    disk.open.clear()
    flying = asyncio.create_task(commits.submit(A, intake()))
    await disk.started.wait()
    waiting = [asyncio.create_task(commits.submit(A, intake(b"x" * 1000))) for _ in range(4)]
    results = await asyncio.gather(flying, *waiting, return_exceptions=True)
    assert {type(result) for result in results} == {Overloaded}
    assert not commits._lanes[A].waiting, "the route counts their bytes no more"
    assert commits.has_room(A), "whoever gave up turns nobody else away"
    disk.open.set()
    await commits.drain()
    assert [len(batch) for batch in disk.batches] == [1]


async def test_a_full_queue_refuses_at_once() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings(queue_size=2))
    disk.open.clear()
    flying = asyncio.create_task(commits.submit(A, intake()))
    await disk.started.wait()
    waiting = [asyncio.create_task(commits.submit(A, intake())) for _ in range(2)]
    await asyncio.sleep(0)
    assert not commits.has_room(A)
    assert commits.has_room(B)
    with pytest.raises(Overloaded) as refused:
        await commits.submit(A, intake())
    assert refused.value.retry_after_s == 1
    disk.open.set()
    await asyncio.gather(flying, *waiting)


async def test_a_failing_database_answers_everybody_and_the_next_batch_is_tried_again() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings())
    disk.fails = ConnectionRefusedError("down")
    results = await asyncio.gather(*(commits.submit(A, intake()) for _ in range(3)), return_exceptions=True)
    assert {type(result) for result in results} == {Overloaded}
    disk.fails = None
    assert not (await commits.submit(A, intake())).duplicate


async def test_a_result_too_few_is_no_acknowledgement_and_nobody_waits_for_ever() -> None:  # I1
    async def forgetful(tenant_id: TenantId, batch: Sequence[Intake]) -> list[Stored]:
        return [Stored(one.id, duplicate=False) for one in batch[1:]]

    commits = GroupCommit(forgetful, IngestSettings())
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(commits.submit(A, intake()) for _ in range(3)), return_exceptions=True)
    assert {type(result) for result in results} == {Overloaded}


async def test_a_row_that_cannot_be_stored_does_not_take_its_batch_along() -> None:
    disk = Disk()
    commits = GroupCommit(disk.write, IngestSettings())
    results = await asyncio.gather(
        *(commits.submit(A, intake(body)) for body in (b"1", b"bad", b"2")), return_exceptions=True
    )
    assert [isinstance(result, Overloaded) for result in results] == [False, True, False]


async def test_a_batch_of_new_known_doubled_and_conflicting_requests(
    resources: Resources, database: Database, tenant_id: TenantId
) -> None:
    settings = resources.get(Settings).ingest
    source = await committed_source(resources, tenant_id)
    known = make_intake(source)
    async with tenant_session(database, tenant_id) as session:
        await store_batch(session, [known], settings=settings)
    fresh = make_intake(source)
    rival = make_intake(source, replay_key=known.replay_key)
    batch = [known._replace(id=new_id()), fresh, fresh._replace(id=new_id()), rival, rival._replace(id=new_id())]
    async with tenant_session(database, tenant_id) as session:
        results = await store_batch(session, batch, settings=settings)
    assert results == [
        Stored(known.id, duplicate=True),
        Stored(fresh.id, duplicate=False),
        Stored(fresh.id, duplicate=True),
        Stored(rival.id, duplicate=False, conflicts_with=known.id),
        Stored(rival.id, duplicate=True, conflicts_with=known.id),
    ]


async def test_the_relay_is_nudged_only_when_there_is_a_new_job(
    resources: Resources, database: Database, tenant_id: TenantId
) -> None:
    settings = resources.get(Settings).ingest
    source = await committed_source(resources, tenant_id)
    first = make_intake(source)
    for batch, nudged in (([first], True), ([first._replace(id=new_id())], False), ([make_intake(source)], False)):
        async with tenant_session(database, tenant_id) as session:
            await store_batch(session, batch, settings=settings)
            assert session.enqueued is nudged
