"""Dead letters are found, inspected, retried and given up; processing is paused and resumed. Over HTTP, audited."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from app.auth.rules import Role
from app.core.ids import JobId, TenantId, new_id
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from tests.jobs.conftest import Note

Tokens = dict[Role, str]


async def bury(database: Database, tenant: TenantId, *, unique_key: str | None = None) -> JobId:
    async with tenant_session(database, tenant) as session:
        job_id = await enqueue(session, Note(text="x"), unique_key=unique_key)
        await session.execute(
            text(
                "update jobs set state = 'dead', attempt = 3, error = 'ValueError: no', finished_at = now() where id = :id"
            ),
            {"id": job_id},
        )
    assert job_id is not None
    return job_id


async def call(api: httpx.AsyncClient, token: str, method: str, path: str, **more: Any) -> httpx.Response:
    return await api.request(method, path, headers={"Authorization": token}, **more)


async def test_dead_letters_are_listed_and_inspected(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    job_id = await bury(database, tenant_id)
    async with tenant_session(database, tenant_id) as session:
        await enqueue(session, Note(text="fine"))
    dead = (await call(api, tokens[Role.VIEWER], "GET", "/v1/jobs", params={"state": ["dead", "failed"]})).json()
    assert [item["id"] for item in dead["items"]] == [str(job_id)]
    detail = (await call(api, tokens[Role.VIEWER], "GET", f"/v1/jobs/{job_id}")).json()
    assert (detail["error"], detail["payload"], detail["attempt"]) == ("ValueError: no", {"text": "x"}, 3)


async def test_pages_hold_every_job_once(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    wanted = {str(await bury(database, tenant_id)) for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 2, "state": "dead"} | ({"cursor": cursor} if cursor else {})
        page = (await call(api, tokens[Role.VIEWER], "GET", "/v1/jobs", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(wanted)


async def test_a_retried_dead_letter_is_scheduled_with_its_attempts_from_zero(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    job_id = await bury(database, tenant_id)
    answer = await call(api, tokens[Role.ENGINEER], "POST", f"/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["attempt"]) == (200, "scheduled", 0)
    again = await call(api, tokens[Role.ENGINEER], "POST", f"/v1/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "job.wrong_state")
    trail = (await call(api, tokens[Role.ADMIN], "GET", "/v1/audit", params={"action": "job.retried"})).json()["items"]
    assert [entry["subject"] for entry in trail] == [f"job:{job_id}"]


async def test_a_discarded_dead_letter_is_cancelled(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    job_id = await bury(database, tenant_id)
    answer = await call(api, tokens[Role.ENGINEER], "POST", f"/v1/jobs/{job_id}/discard")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


async def test_a_dead_letter_whose_work_is_open_again_is_not_retried_beside_it(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    key = f"k-{new_id().hex}"
    job_id = await bury(database, tenant_id, unique_key=key)
    async with tenant_session(database, tenant_id) as session:
        assert await enqueue(session, Note(), unique_key=key) is not None
    answer = await call(api, tokens[Role.ENGINEER], "POST", f"/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "job.superseded")


async def test_processing_is_paused_and_resumed_by_queue_and_as_a_whole(api: httpx.AsyncClient, tokens: Tokens) -> None:
    admin = tokens[Role.ADMIN]
    paused = await call(
        api, admin, "POST", "/v1/admin/pause-processing", json={"queue": "remediation", "reason": "freeze"}
    )
    assert [(item["queue"], item["reason"]) for item in paused.json()["items"]] == [("remediation", "freeze")]
    everything = await call(api, admin, "POST", "/v1/admin/pause-processing")
    assert [item["queue"] for item in everything.json()["items"]] == ["*", "remediation"]
    resumed = await call(api, admin, "POST", "/v1/admin/resume-processing", json={"queue": "remediation"})
    assert [item["queue"] for item in resumed.json()["items"]] == ["*"]
    assert (await call(api, admin, "POST", "/v1/admin/resume-processing")).json()["items"] == []


async def test_an_engineer_does_not_pause_the_tenant(api: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await call(api, tokens[Role.ENGINEER], "POST", "/v1/admin/pause-processing")
    assert answer.status_code == 403


async def test_a_job_that_is_not_there_is_not_found(api: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await call(api, tokens[Role.VIEWER], "GET", f"/v1/jobs/{UUID(int=7)}")
    assert (answer.status_code, answer.json()["code"]) == (404, "job.not_found")
