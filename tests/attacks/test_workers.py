"""C09, C11: requests that end in the middle, and messages that nobody of ours has sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from celery import Celery

from app.auth.rules import Role
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.incidents.jobs import ResolveStaleAlerts
from app.main import create_app
from app.settings import Settings
from app.wiring import build_resources, close_resources
from tests.factories.access import make_tokens
from tests.factories.ingest import alert_body, committed_source, signed_headers
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until
from tests.jobs.conftest import Bench, Note, bench
from workers.celery_app import make_celery
from workers.queues import RUN_JOB, broker_queue
from workers.runner import Outcome

__all__ = ["bench"]


@pytest.mark.attack("C09")
@pytest.mark.parametrize("seed", [1, 2])
async def test_requests_cut_off_anywhere_leave_nothing_for_the_next_tenant(
    postgres: PostgresServer, scratch_name: str, scratch_resources: Resources, seed: int
) -> None:
    """One connection for everybody; what a cut-off request left on it would be the next tenant's."""
    rng = random.Random(seed)
    small = postgres.settings_for(scratch_name, pool_size=1, pool_overflow=0, pool_wait_s=5)
    database = Database.from_settings(small)
    settings = scratch_resources.get(Settings).model_copy(update={"database": small})
    resources = build_resources(settings, database=database)
    application = create_app(settings, resources)
    a, b = await make_tenant(database), await make_tenant(database)
    headers = {tenant: {"authorization": (await make_tokens(resources, tenant))[Role.ADMIN]} for tenant in (a, b)}
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    cut = 0
    async with httpx.AsyncClient(transport=transport, base_url="http://t", timeout=10) as client:
        for number in range(60):
            body = {"title": f"of {a}", "body": str(number)}
            writing = asyncio.create_task(client.post("/v1/knowledge", json=body, headers=headers[a]))
            await asyncio.sleep(rng.uniform(0, 0.012))
            cut += writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            seen = await client.get("/v1/knowledge", headers=headers[b])
            assert (seen.status_code, seen.json()["items"]) == (200, []), f"round {number}"
            assert (await client.get("/v1/me", headers=headers[b])).json()["tenant_id"] == str(b)
        mine = await client.get("/v1/knowledge", params={"limit": 200}, headers=headers[a])
        assert all(item["title"] == f"of {a}" for item in mine.json()["items"])
    assert cut > 10, "too few were cut off to prove anything"
    await close_resources(resources)


@pytest.mark.attack("C11")
async def test_a_message_for_another_tenants_job_runs_nothing(bench: Bench) -> None:
    """The message names tenant and job; the claim wants a row of exactly that tenant."""
    from tests.fixtures.jobs import make_runner

    @bench.registry.transactional(Note)
    async def handler(session: Any, job: Note, ctx: Any) -> None:
        bench.seen.append(job.text)

    async with tenant_session(bench.database, bench.tenant_id) as session:
        job_id = await enqueue(session, Note(text="secret work"))
    assert job_id is not None
    await bench.change("update jobs set state = 'published', published_at = now()")
    runner = make_runner(bench.resources, bench.registry)
    other = await make_tenant(bench.database)
    for tenant, job in ((other, job_id), (bench.tenant_id, new_id()), (TenantId(new_id()), job_id)):
        assert await runner.run(tenant, UUID(str(job))) is Outcome.DUPLICATE
    assert bench.seen == []
    assert await runner.run(bench.tenant_id, job_id) is Outcome.SUCCEEDED
    assert await runner.run(bench.tenant_id, job_id) is Outcome.DUPLICATE
    assert bench.seen == ["secret work"]


def forge(app: Celery, queue: str, marker: Path) -> None:
    """This will put into the broker what somebody with its password could."""
    with app.connection_for_write() as connection, connection.Producer(serializer="json") as producer:
        task = {"id": "x", "task": RUN_JOB, "args": ["not", "uuids"], "kwargs": {}, "retries": 0}
        hostile: list[dict[str, Any]] = [
            {"body": {**task, "task": "os.system", "args": [f"touch {marker}"]}, "serializer": "json"},
            {"body": {**task, "task": "celery.backend_cleanup", "args": []}, "serializer": "json"},
            {"body": task, "serializer": "json"},
            {"body": {**task, "args": [str(new_id()), str(new_id())]}, "serializer": "json"},
            {"body": {**task, "args": [{"$ne": 1}, [None]]}, "serializer": "json"},
            {"body": {**task, "args": [str(marker)]}, "serializer": "pickle"},
            {"body": "x" * 100_000, "serializer": "json"},
            {"body": {**task, "args": []}, "serializer": "yaml"},
        ]
        for message in hostile:
            headers = {"id": "x", "task": message["body"]["task"] if isinstance(message["body"], dict) else "x"}
            producer.publish(
                message["body"], serializer=message["serializer"], routing_key=queue, exchange="", headers=headers
            )
        # Marked as pickle by hand: a worker that believed the label would run the bytes.
        producer.publish(
            b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            routing_key=queue,
            exchange="",
            headers={"id": "y", "task": RUN_JOB},
        )


@pytest.mark.attack("C11")
async def test_a_worker_outlives_what_was_forged_into_its_queue(stack: ProcessStack, tmp_path: Path) -> None:
    """Other tasks, pickles and nonsense are dropped; real work behind them is done."""
    marker = tmp_path / "owned"
    app = make_celery(stack.settings)
    queue = broker_queue("intake", prefix=stack.settings.redis.key_prefix)
    await asyncio.to_thread(forge, app, queue, marker)
    resources = build_resources(stack.settings)
    database = resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(resources, tenant)
    from app.core.clock import SystemClock

    body = alert_body()
    async with httpx.AsyncClient(base_url=stack.api_url) as client:
        sent = await client.post(
            source.url_path, content=body, headers=signed_headers(source, body, SystemClock().now())
        )
        assert sent.status_code == 202
        token = (await make_tokens(resources, tenant))[Role.VIEWER]

        async def processed() -> bool:
            answer = await client.get(sent.json()["receipt_url"], headers={"authorization": token})
            return bool(answer.json()["state"] == "processed")

        await wait_until(processed, timeout_s=40, every_s=0.1, what=f"the real work is done\n{stack.tail('worker')}")
    assert not marker.exists(), "forged code was run"
    await close_resources(resources)


@pytest.mark.attack("C11")
def test_the_wire_takes_json_and_one_task(settings: Settings) -> None:
    app = make_celery(settings)
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.result_backend is None
    own = [name for name in app.tasks if not name.startswith("celery.")]
    assert own == []
    # A job's payload stays in the table: the message is two ids.
    payload = json.dumps(ResolveStaleAlerts(source_id=new_id()).to_payload())
    assert json.loads(payload).keys() == {"source_id"}
