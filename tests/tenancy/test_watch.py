"""What the relay sees, in service, of tenants that are no longer apart, and of rows whose time is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core.ids import new_id
from app.db.catalogue import QUESTIONS
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import tenant_session
from app.observability.metrics import REGISTRY
from app.settings import Settings
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.process import make_settings
from workers.isolation import EVERY_S, IsolationWatch
from workers.relay_main import standard_sweeps


def gauges() -> dict[str, float | None]:
    return {
        question: REGISTRY.get_sample_value("tocsin_rls_unprotected_relations", {"question": question})
        for question in QUESTIONS
    }


async def look(watch: IsolationWatch, database: Database) -> None:
    async with system_session(database, reason="test") as session:
        await watch(session)


async def test_the_gauge_tells_what_was_done_to_the_live_database(
    postgres: PostgresServer, scratch_database: Database, scratch_name: str
) -> None:
    seconds = [0.0]
    watch = IsolationWatch(ticks=lambda: seconds[0])
    await look(watch, scratch_database)
    assert gauges() == dict.fromkeys(QUESTIONS, 0)
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("alter table jobs no force row level security; create table stray (id uuid)")
    seconds[0] = EVERY_S - 1
    await look(watch, scratch_database)
    assert gauges() == dict.fromkeys(QUESTIONS, 0), "it looked before its time"
    seconds[0] = EVERY_S
    with capture_logs() as logs:
        await look(watch, scratch_database)
    assert gauges() == dict.fromkeys(QUESTIONS, 0) | {"unprotected": 1, "without_tenant": 1}
    broken = [line["what"] for line in logs if line["event"] == "isolation.broken"]
    assert broken == ["jobs does not force row level security", "stray has no tenant_id and is not on the list"]
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("alter table jobs force row level security; drop table stray")
    seconds[0] = 2 * EVERY_S
    await look(watch, scratch_database)
    assert gauges() == dict.fromkeys(QUESTIONS, 0)


@pytest.fixture
def scratch_settings(postgres: PostgresServer, scratch_name: str, redis_url: str) -> Settings:
    return make_settings(postgres, scratch_name, redis_url)


async def test_remembered_writes_are_forgotten_when_their_time_is_over(
    scratch_database: Database, scratch_settings: Settings
) -> None:
    tenant = await make_tenant(scratch_database)
    statement = text(
        "insert into idempotency_keys (tenant_id, id, principal_id, key, request_hash, created_at, expires_at)"
        " values (:tenant, :id, 'p', :key, '', now(), now() + :in)"
    )
    async with tenant_session(scratch_database, tenant) as session:
        for key, left in (("old", timedelta(seconds=-1)), ("new", timedelta(hours=1))):
            await session.execute(statement, {"tenant": tenant, "id": new_id(), "key": key, "in": left})
    for sweep in standard_sweeps(scratch_settings):
        async with system_session(scratch_database, reason="test") as system:
            await sweep(system)
    async with tenant_session(scratch_database, tenant) as session:
        kept = (await session.execute(text("select key from idempotency_keys"))).scalars().all()
    assert kept == ["new"]
