from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import func, select

from app.core.clock import FakeClock
from app.core.errors import Conflict
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.http.clock import Now
from app.http.idempotency import REPLAYED, idempotent
from app.http.models import IdempotencyRow
from tests.fixtures.wait import wait_until
from tests.http.test_problem import assert_problem
from tests.http.world import client_of, framed


class Made(BaseModel):
    serial: int
    text: str


class Work:
    """What the endpoint does, and how often it did it."""

    def __init__(self) -> None:
        self.runs = 0
        self.hold: asyncio.Event | None = None
        self.fail = False

    async def do(self, text: str) -> Made:
        self.runs += 1
        serial = self.runs
        if self.hold is not None:
            await self.hold.wait()
        if self.fail:
            raise Conflict("not now")
        return Made(serial=serial, text=text)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def client(
    resources: Resources, database: Database, tenant_id: TenantId, work: Work
) -> AsyncIterator[httpx.AsyncClient]:
    async def transaction(x_tenant: Annotated[str, Header()] = str(tenant_id)) -> AsyncIterator[TenantSession]:
        async with tenant_session(database, TenantId(UUID(x_tenant))) as session:
            yield session

    tx = Annotated[TenantSession, Depends(transaction, scope="function")]

    async def write(
        request: Request, session: tx, now: Now, text: str = "", x_principal: Annotated[str, Header()] = "p1"
    ) -> Response:
        return await idempotent(
            request, session, principal_id=x_principal, now=now, status=201, produce=lambda: work.do(text)
        )

    async def remove(request: Request, session: tx, now: Now) -> Response:
        async def nothing() -> None:
            work.runs += 1

        return await idempotent(request, session, principal_id="p1", now=now, status=204, produce=nothing)

    write.__annotations__ |= {"session": tx, "now": Now, "request": Request}
    remove.__annotations__ |= {"session": tx, "now": Now, "request": Request}
    api, app = framed(resources, timeout_s=20)
    api.add_api_route("/v1/things", write, methods=["POST"], response_model=None)
    api.add_api_route("/v1/other-things", write, methods=["POST"], response_model=None)
    api.add_api_route("/v1/things", remove, methods=["DELETE"], response_model=None)
    async with client_of(app) as client:
        yield client


Post = Callable[..., Coroutine[Any, Any, httpx.Response]]


@pytest.fixture
def post(client: httpx.AsyncClient) -> Post:
    async def send(
        key: str | None = "k1", *, path: str = "/v1/things", body: bytes = b"", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["idempotency-key"] = key
        return await client.post(path, content=body, headers=sent)

    return send


async def count_keys(database: Database, tenant_id: TenantId) -> int:
    async with tenant_session(database, tenant_id) as session:
        return (await session.execute(select(func.count()).select_from(IdempotencyRow))).scalar_one()


async def test_a_repeat_gets_the_first_answer(post: Post, work: Work) -> None:
    first, second = await post(), await post()
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert second.headers["content-type"] == "application/json"
    assert work.runs == 1


async def test_without_a_key_each_request_runs(post: Post, work: Work, database: Database, tenant_id: TenantId) -> None:
    await post(None)
    await post(None)
    assert work.runs == 2
    assert await count_keys(database, tenant_id) == 0


@pytest.mark.parametrize(
    "other",
    [{"body": b"x"}, {"path": "/v1/things?text=x"}, {"path": "/v1/other-things"}],
    ids=["body", "query", "path"],
)
async def test_the_key_of_another_request_is_refused(post: Post, work: Work, other: dict[str, object]) -> None:
    await post()
    assert_problem(await post(**other), status=422, code="idempotency.mismatch")
    assert work.runs == 1


async def test_two_principals_may_use_one_key(post: Post, work: Work) -> None:
    first, second = await post(), await post(x_principal="p2")
    assert (first.json()["serial"], second.json()["serial"]) == (1, 2)


async def test_two_tenants_may_use_one_key(post: Post, work: Work, other_tenant_id: TenantId) -> None:
    await post()
    assert REPLAYED not in (await post(x_tenant=str(other_tenant_id))).headers
    assert work.runs == 2


async def test_concurrent_repeats_run_once(post: Post, work: Work) -> None:
    work.hold = asyncio.Event()
    racing = [asyncio.create_task(post()) for _ in range(4)]
    await wait_until(lambda: work.runs == 1, what="one of them works")
    done, _ = await asyncio.wait(racing, timeout=0.2)
    assert done == set()
    work.hold.set()
    answers = await asyncio.gather(*racing)
    assert work.runs == 1
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers.get(REPLAYED, "") for answer in answers) == ["", "true", "true", "true"]


async def test_a_repeat_takes_over_from_one_that_failed(
    post: Post, work: Work, database: Database, tenant_id: TenantId
) -> None:
    work.hold, work.fail = asyncio.Event(), True
    failing = asyncio.create_task(post())
    await wait_until(lambda: work.runs == 1, what="the first one works")
    waiting = asyncio.create_task(post())
    work.hold.set()
    assert_problem(await failing, status=409, code="conflict")
    assert_problem(await waiting, status=409, code="conflict")
    assert await count_keys(database, tenant_id) == 0
    work.fail = False
    assert (await post()).json() == {"serial": 3, "text": ""}


async def test_an_expired_key_starts_over(post: Post, work: Work, clock: FakeClock) -> None:
    await post()
    clock.advance(timedelta(hours=23, minutes=59))
    assert (await post()).headers[REPLAYED] == "true"
    clock.advance(timedelta(minutes=1))
    assert REPLAYED not in (await post(body=b"now another request")).headers
    assert work.runs == 2


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\u00e9"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, work: Work, key: str) -> None:
    answer = await client.post("/v1/things", headers=[(b"idempotency-key", key.encode())])
    assert_problem(answer, status=422, code="idempotency.key_invalid")
    assert work.runs == 0


async def test_two_keys_are_refused(client: httpx.AsyncClient, work: Work) -> None:
    answer = await client.post("/v1/things", headers=[("idempotency-key", "a"), ("idempotency-key", "b")])
    assert_problem(answer, status=422, code="idempotency.key_invalid")


async def test_the_longest_key_is_taken(post: Post) -> None:
    assert (await post("k" * 255)).status_code == 201


async def test_an_empty_answer_is_repeated_empty(client: httpx.AsyncClient, work: Work) -> None:
    answers = [await client.delete("/v1/things", headers={"idempotency-key": "k1"}) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    assert answers[1].headers[REPLAYED] == "true"
    assert work.runs == 1
