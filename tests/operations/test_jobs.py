"""What the operations API does to work that really runs: repaired, given up, paused. Its answers: test_jobs_api.py."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.clock import FakeClock
from app.core.ids import JobId, TenantId
from app.core.jobs import JobRegistry, PermanentJobError
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.context import JobContext
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession, tenant_session
from app.main import create_app
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.jobs.conftest import Note


class Desk:
    """An engineer's view of one tenant's jobs, and a handler that can be repaired."""

    def __init__(
        self, client: httpx.AsyncClient, resources: Resources, tenant_id: TenantId, tokens: dict[Role, str]
    ) -> None:
        self.client = client
        self.resources = resources
        self.tenant_id = tenant_id
        self.tokens = tokens
        self.broken = True
        self.done: list[str] = []
        self.registry = JobRegistry()
        self.registry.transactional(Note)(self._handle)

    async def _handle(self, session: TenantSession, job: Note, ctx: JobContext) -> None:
        if self.broken:
            raise PermanentJobError("the target is gone")
        self.done.append(job.text)

    async def enqueue(self, note: str) -> JobId:
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            job_id = await enqueue(session, Note(text=note))
        assert job_id is not None
        return job_id

    async def run(self) -> None:
        await run_jobs(self.resources, registry=self.registry)

    async def ask(self, method: str, path: str, role: Role = Role.ENGINEER, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers={"Authorization": self.tokens[role]}, **more)

    async def listed(self, **query: Any) -> list[str]:
        answer = await self.ask("GET", "/v1/jobs", Role.VIEWER, params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    async def audited(self) -> list[str]:
        items = (await self.ask("GET", "/v1/audit", Role.ADMIN)).json()["items"]
        return [item["action"] for item in reversed(items) if not item["action"].startswith("token.")]


@pytest.fixture
async def desk(scratch_resources: Resources, scratch_database: Database) -> Any:
    tenant_id = await make_tenant(scratch_database)
    tokens = await make_tokens(scratch_resources, tenant_id)
    application = create_app(scratch_resources.get(Settings), scratch_resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        yield Desk(client, scratch_resources, tenant_id, tokens)


async def test_a_dead_letter_says_why_and_works_again_after_a_repair(desk: Desk, clock: FakeClock) -> None:
    job = await desk.enqueue("late")
    await desk.run()
    assert await desk.listed(state=["dead", "failed"]) == [str(job)]
    found = (await desk.ask("GET", f"/v1/jobs/{job}")).json()
    assert (found["kind"], found["payload"]["text"], found["attempt"]) == ("test.note", "late", 1)
    assert "the target is gone" in found["error"]
    desk.broken = False
    retried = await desk.ask("POST", f"/v1/jobs/{job}/retry")
    assert (retried.status_code, retried.json()["state"], retried.json()["attempt"]) == (200, "scheduled", 0)
    await desk.run()
    assert desk.done == ["late"]
    assert (await desk.ask("GET", f"/v1/jobs/{job}")).json()["state"] == "succeeded"
    assert await desk.audited() == ["job.retried"]


async def test_a_discarded_job_stays_as_evidence_and_runs_no_more(desk: Desk) -> None:
    job = await desk.enqueue("never")
    await desk.run()
    desk.broken = False
    assert (await desk.ask("POST", f"/v1/jobs/{job}/discard")).json()["state"] == "cancelled"
    await desk.run()
    assert desk.done == []
    assert await desk.listed(state="cancelled") == [str(job)]
    assert await desk.audited() == ["job.discarded"]


@pytest.mark.parametrize("verb", ["retry", "discard"])
async def test_only_dead_letters_are_moved_by_hand(desk: Desk, verb: str) -> None:
    desk.broken = False
    job = await desk.enqueue("fine")
    for state in ("scheduled", "succeeded"):
        refused = await desk.ask("POST", f"/v1/jobs/{job}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (409, "job.wrong_state")
        assert state in refused.json()["detail"]
        await desk.run()
    assert await desk.audited() == []


async def test_paused_processing_waits_and_goes_on(desk: Desk) -> None:
    desk.broken = False
    body = {"queue": "maintenance", "reason": "the disk is full"}
    for _ in range(2):
        paused = await desk.ask("POST", "/v1/admin/pause-processing", Role.ADMIN, json=body)
        assert [(item["queue"], item["reason"]) for item in paused.json()["items"]] == [
            ("maintenance", "the disk is full")
        ]
    job = await desk.enqueue("waits")
    await desk.run()
    assert desk.done == []
    assert await desk.listed(state="scheduled") == [str(job)]
    resumed = await desk.ask("POST", "/v1/admin/resume-processing", Role.ADMIN)
    assert resumed.json() == {"items": []}
    await desk.run()
    assert desk.done == ["waits"]
    # Pausing twice is one deed.
    assert await desk.audited() == ["processing.paused", "processing.resumed"]


async def test_lists_filter_and_page(desk: Desk) -> None:
    jobs = [str(await desk.enqueue(str(number))) for number in range(5)]
    newest = jobs[::-1]
    assert await desk.listed(kind="test.note") == newest
    assert await desk.listed(kind="test.other") == []
    assert await desk.listed(queue="maintenance", state=["scheduled", "dead"]) == newest
    first = (await desk.ask("GET", "/v1/jobs", params={"limit": 3})).json()
    rest = (await desk.ask("GET", "/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == newest
    assert rest["next_cursor"] is None
    assert (await desk.ask("GET", "/v1/jobs", params={"state": "sleeping"})).status_code == 422


async def test_another_tenant_sees_none_of_it(desk: Desk, scratch_database: Database) -> None:
    job = await desk.enqueue("ours")
    other = await make_tenant(scratch_database)
    desk.tokens = await make_tokens(desk.resources, other)
    assert await desk.listed() == []
    for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/discard")):
        assert (await desk.ask(method, f"/v1/jobs/{job}{path}")).status_code == 404
    async with tenant_session(scratch_database, desk.tenant_id) as session:
        assert (await session.execute(text("select state from jobs"))).scalars().all() == ["scheduled"]
