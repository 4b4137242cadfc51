"""What following and replaying ask of a database with many deliveries: an index for each question, under row level security."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from app.core.ids import new_id
from app.db.jobs.reading import find_jobs
from app.db.tenancy import TenantSession
from app.ingest.replays import repository as replays
from app.ingest.repository import deliveries
from app.ingest.repository.deliveries import DeliveryFilter
from app.ingest.schemas import DeliveryState
from app.ingest.trials import repository as trials
from tests.fixtures.database import PostgresServer
from tests.ingest.receipts.conftest import Scene

FAILURES = (DeliveryState.REJECTED, DeliveryState.FAILED)
# Ids of now, one a row, as UUIDv7 begins with its time; every 200th delivery came to nothing.
FILL = """
insert into deliveries (tenant_id, id, source_id, received_at, shard, state, reason, external_id, replay_key, body_sha256,
  headers, body, size_bytes, processed_at)
select :tenant,
  cast(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n), 19, '0') as uuid),
  case when n % 2 = 0 then cast(:source as uuid) else cast(:other as uuid) end, now(), 0,
  case when n % 200 = 0 then 'rejected' else 'processed' end, case when n % 200 = 0 then 'body.not_json' else '' end,
  'msg_' || n, decode(md5(n::text), 'hex'), decode(md5(n::text), 'hex'), '{}', 'x', 1, now()
from generate_series(1, 20000) as n
"""
FILL_JOBS = """
insert into jobs (tenant_id, id, kind, queue, payload, unique_key, max_attempts, state, finished_at)
select :tenant,
  cast(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n), 19, '0') as uuid),
  'enhancement.index_incident', 'enhancement', '{}', 'k' || n, 3, 'succeeded', now() from generate_series(1, 5000) as n
"""


@pytest.fixture
async def filled(scene: Scene, postgres: PostgresServer, scratch_name: str) -> dict[str, UUID]:
    source, other = uuid4(), uuid4()
    await scene.run_sql(FILL, tenant=scene.tenant_id, source=source, other=other)
    await scene.run_sql(FILL_JOBS, tenant=scene.tenant_id)
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("analyze")
    return {"source": source, "other": other}


async def plans_of(scene: Scene, ask: Callable[[TenantSession], Awaitable[Any]]) -> list[dict[str, Any]]:
    """Run the question as the application does, and return the plan of each statement that it was."""
    seen: list[tuple[str, Any]] = []
    engine = scene.database.app.sync_engine

    def note(_c: Any, _u: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    async with scene.transaction() as session:
        event.listen(engine, "before_cursor_execute", note)
        try:
            await ask(session)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        found = []
        for statement, parameters in seen:
            rows = await session.driver.fetch(f"explain (format json) {statement}", *parameters)
            found.append(rows[0][0][0]["Plan"])
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def scanned(scene: Scene, plans: list[dict[str, Any]]) -> list[str]:
    """The tables with many rows that a plan reads from end to end; empty partitions may be read so."""
    rows = await scene.run_sql("select relname from pg_class where relkind = 'r' and reltuples > 1000")
    many = {row[0] for row in rows}
    assert any(name.startswith("deliveries") for name in many)
    assert "jobs" in many
    return [
        node["Relation Name"]
        for plan in plans
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in many
    ]


FILTERS: dict[str, dict[str, Any]] = {
    "failures": {"states": FAILURES},
    "rejected": {"states": (DeliveryState.REJECTED,)},
    "reason": {"reason": "body.not_json"},
    "of a source": {"states": FAILURES, "source": True},
    "source and reason": {"reason": "body.not_json", "source": True},
}


@pytest.mark.parametrize("name", FILTERS)
async def test_failures_are_listed_from_their_own_indexes(scene: Scene, filled: dict[str, UUID], name: str) -> None:
    given = dict(FILTERS[name])
    source = filled["source"] if given.pop("source", False) else None
    wanted = DeliveryFilter(source_id=source, **given)
    plans = await plans_of(
        scene, lambda session: deliveries.list_deliveries(session, wanted=wanted, before=None, limit=50)
    )
    assert await scanned(scene, plans) == []
    used = {node["Index Name"] for plan in plans for node in nodes(plan) if "Index Name" in node}
    assert used
    rows = await scene.run_sql(
        "select indexname, indexdef from pg_indexes where indexname = any(:names)", names=list(used)
    )
    assert len(rows) == len(used)
    assert all("rejected" in definition for _, definition in rows), rows


async def test_the_other_questions_scan_nothing(scene: Scene, filled: dict[str, UUID]) -> None:
    first, last = UUID(int=0), UUID(int=2**128 - 1)
    some = [row[0] for row in await scene.run_sql("select id from deliveries order by id limit 50")]
    questions: dict[str, Callable[[TenantSession], Awaitable[Any]]] = {
        "a page": lambda s: deliveries.list_deliveries(s, wanted=DeliveryFilter(), before=None, limit=50),
        "a source's page": lambda s: deliveries.list_deliveries(
            s, wanted=DeliveryFilter(source_id=filled["source"]), before=None, limit=50
        ),
        "an id of the sender's": lambda s: deliveries.find_by_external_id(
            s, external_id="msg_17", source_id=None, before=None, within=500, limit=10
        ),
        "one of a source's": lambda s: deliveries.find_by_external_id(
            s, external_id="msg_17", source_id=filled["source"], before=None, within=500, limit=10
        ),
        "a body": lambda s: deliveries.load_body(s, delivery_id=some[0]),
        "the next of a replay": lambda s: replays.list_next(
            s, wanted=DeliveryFilter(states=FAILURES), after=first, until=last, limit=50
        ),
        "a batch's states": lambda s: replays.count_states(s, ids=some),
        "putting a batch back": lambda s: replays.put_back(s, ids=some),
        "a stretch of the past": lambda s: trials.load_chunk(
            s, source_id=filled["source"], after=first, until=last, limit=100, limit_bytes=10_000
        ),
        "jobs by key": lambda s: find_jobs(s, wanted=[("enhancement.index_incident", "k7")], since=new_id()),
    }
    for what, ask in questions.items():
        assert await scanned(scene, await plans_of(scene, ask)) == [], what
