"""The figures that workers are scaled by: what waits in the table, what waits at the broker, what runs."""

from __future__ import annotations

from sqlalchemy import text

from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.observability.metrics import REGISTRY
from app.settings import Settings
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import CollectingPublisher
from tests.jobs.conftest import Note
from workers.relay import Relay


def depth(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"tocsin_jobs_{name}", {"queue": "maintenance"})


async def test_jobs_that_wait_at_the_broker_count_as_much_as_those_in_the_table(
    scratch_resources: Resources, scratch_database: Database
) -> None:
    tenant_id = await make_tenant(scratch_database)
    async with tenant_session(scratch_database, tenant_id) as session:
        for number in range(9):
            await enqueue(session, Note(text=str(number)))
    settings = scratch_resources.get(Settings).jobs.model_copy(update={"window_per_queue": 4})
    relay = Relay(database=scratch_database, publisher=CollectingPublisher(), settings=settings)
    await relay.tick()
    async with tenant_session(scratch_database, tenant_id) as session:
        await session.execute(
            text(
                "update jobs set state = 'running', lease_until = now() + interval '1 minute' where id ="
                " (select id from jobs where state = 'published' order by id limit 1)"
            )
        )
    await relay.sweep()
    assert (depth("due"), depth("published"), depth("in_progress")) == (5, 3, 1)
