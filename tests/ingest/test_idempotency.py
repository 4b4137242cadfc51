"""Writes on sources and deliveries under an Idempotency-Key: one effect, one answer, and no secret kept for it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.http.idempotency import REPLAYED
from tests.factories.ingest import Sender, committed_source
from tests.http.test_problem import assert_problem
from tests.ingest.test_endpoints import Tokens, create

ONCE = {"secret": None, "url": None, "curl": None}


async def send(
    api: httpx.AsyncClient, tokens: Tokens, operation: str, body: Any = None, key: str = "k1"
) -> httpx.Response:
    method, path = operation.split()
    headers = {"authorization": tokens[Role.ENGINEER], "idempotency-key": key}
    return await api.request(method, path, json=body, headers=headers)


async def count(database: Database, tenant_id: TenantId, question: str) -> int:
    async with tenant_session(database, tenant_id) as session:
        return int((await session.execute(text(question))).scalar_one())


@pytest.mark.parametrize("profile", ["standard_webhooks", "bearer", "url_secret"])
async def test_a_source_is_made_once_and_its_secret_is_not_kept(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId, profile: str
) -> None:
    body = {"kind": "generic", "name": "watch", "profile": profile}
    first = await send(api, tokens, "POST /v1/sources", body)
    second = await send(api, tokens, "POST /v1/sources", body)
    made = first.json()
    assert (second.status_code, second.headers[REPLAYED], second.json()) == (201, "true", made | ONCE)
    async with tenant_session(database, tenant_id) as session:
        (kept,) = (await session.execute(text("select response from idempotency_keys"))).scalars().all()
    assert made["secret"].encode() not in kept
    mistaken = await send(api, tokens, "POST /v1/sources", body | {"name": "other"})
    assert_problem(mistaken, status=422, code="idempotency.mismatch")
    assert await count(database, tenant_id, "select count(*) from sources") == 1


async def test_a_secret_is_rotated_once(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    source_id = (await create(api, tokens)).json()["source"]["id"]
    operation = f"POST /v1/sources/{source_id}/rotate-secret"
    first, second = [await send(api, tokens, operation) for _ in range(2)]
    assert first.json()["secret"]
    assert second.json() == first.json() | ONCE
    assert await count(database, tenant_id, "select count(*) from source_secrets") == 2


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "renamed"}), ("DELETE", None)])
async def test_a_source_is_changed_once(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId, method: str, body: Any
) -> None:
    source_id = (await create(api, tokens)).json()["source"]["id"]
    trail = "select count(*) from audit_entries"
    before = await count(database, tenant_id, trail)
    first, second = [await send(api, tokens, f"{method} /v1/sources/{source_id}", body) for _ in range(2)]
    assert first.is_success
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert await count(database, tenant_id, trail) == before + 1


async def test_a_delivery_is_tried_again_once(
    api: httpx.AsyncClient, tokens: Tokens, sender: Sender, resources: Resources, tenant_id: TenantId
) -> None:
    source = await committed_source(resources, tenant_id)
    rejected = (await sender.send(source, b'{"a": "\xff"}')).json()["receipt_id"]
    first, second = [await send(api, tokens, f"POST /v1/deliveries/{rejected}/replay") for _ in range(2)]
    assert (first.status_code, first.json()["state"]) == (200, "accepted")
    assert (second.status_code, second.content) == (200, first.content)
    under_another = await send(api, tokens, f"POST /v1/deliveries/{rejected}/replay", key="k2")
    assert_problem(under_another, status=409, code="delivery.not_replayable")
