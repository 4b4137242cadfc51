"""Tenants are made and cut off by operators, who see nothing of theirs."""

from __future__ import annotations

import httpx
import pytest

from app.auth.deps import TokenLookup
from app.auth.rules import Role
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.tenants.rules import is_slug
from tests.fixtures.jobs import run_jobs
from tests.jobs.conftest import Note


@pytest.mark.parametrize("slug", ["acme", "a-1", "a" * 40])
def test_good_slugs(slug: str) -> None:
    assert is_slug(slug)


@pytest.mark.parametrize("slug", ["", "ab", "Acme", "1acme", "acme-", "a_b", "a" * 41, "äcme", "a b"])
def test_bad_slugs(slug: str) -> None:
    assert not is_slug(slug)


async def test_an_operator_makes_a_tenant_whose_admin_can_work(api: httpx.AsyncClient, operator_token: str) -> None:
    slug = f"acme-{new_id().hex[-10:]}"
    operator = {"Authorization": operator_token}
    made = await api.post("/v1/admin/tenants", json={"slug": slug, "name": "Acme"}, headers=operator)
    assert made.status_code == 201, made.text
    admin = {"Authorization": f"Bearer {made.json()['admin_token']}"}
    assert (await api.get("/v1/me", headers=admin)).json()["tenant_id"] == made.json()["id"]
    assert [entry["action"] for entry in (await api.get("/v1/audit", headers=admin)).json()["items"]] == [
        "token.created",
        "tenant.created",
    ]
    again = await api.post("/v1/admin/tenants", json={"slug": slug, "name": "Acme"}, headers=operator)
    assert (again.status_code, again.json()["code"]) == (409, "tenant.slug_taken")


async def test_an_operator_sees_no_tenants_data(api: httpx.AsyncClient, operator_token: str) -> None:
    for path in ("/v1/incidents", "/v1/me", "/v1/audit", "/v1/tokens"):
        assert (await api.get(path, headers={"Authorization": operator_token})).status_code == 401


async def test_an_isolated_tenant_is_refused_and_let_back(
    api: httpx.AsyncClient,
    operator_token: str,
    tokens: dict[Role, str],
    tenant_id: TenantId,
    resources: Resources,
) -> None:
    operator, admin = {"Authorization": operator_token}, {"Authorization": tokens[Role.ADMIN]}
    isolated = await api.post(f"/v1/admin/tenants/{tenant_id}/isolate", json={"reason": "leak"}, headers=operator)
    assert isolated.json()["state"] == "isolated"
    refused = await api.get("/v1/me", headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.tenant_isolated")
    await api.post(f"/v1/admin/tenants/{tenant_id}/restore", json={"reason": "mended"}, headers=operator)
    resources.get(TokenLookup)._known.clear()
    assert (await api.get("/v1/me", headers=admin)).status_code == 200
    actions = [entry["action"] for entry in (await api.get("/v1/audit", headers=admin)).json()["items"]]
    assert actions[:2] == ["tenant.restored", "tenant.isolated"]


async def test_an_isolated_tenants_jobs_wait(scratch_database: Database, scratch_resources: Resources) -> None:
    from app.core.actor import Actor
    from app.core.clock import Clock
    from app.tenants.service import isolate_tenant
    from tests.fixtures.database import make_tenant

    tenant = await make_tenant(scratch_database)
    now = scratch_resources.get(Clock).now()  # type: ignore[type-abstract]
    async with tenant_session(scratch_database, tenant) as session:
        await enqueue(session, Note())
        await isolate_tenant(session, reason="leak", actor=Actor.system("test"), now=now)
    assert await run_jobs(scratch_resources) == []


async def test_an_isolated_tenant_cannot_let_its_jobs_go(
    api: httpx.AsyncClient, operator_token: str, tokens: dict[Role, str], tenant_id: TenantId
) -> None:
    """For some seconds a token that was looked up before is still let in."""
    operator, admin = {"Authorization": operator_token}, {"Authorization": tokens[Role.ADMIN]}
    assert (await api.get("/v1/me", headers=admin)).status_code == 200
    await api.post(f"/v1/admin/tenants/{tenant_id}/isolate", json={"reason": "leak"}, headers=operator)
    assert (await api.get("/v1/me", headers=admin)).status_code == 200
    refused = await api.post("/v1/admin/resume-processing", headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.tenant_isolated")


async def test_a_pause_of_the_tenants_own_outlasts_its_isolation(
    api: httpx.AsyncClient, operator_token: str, tokens: dict[Role, str], tenant_id: TenantId, resources: Resources
) -> None:
    operator, admin = {"Authorization": operator_token}, {"Authorization": tokens[Role.ADMIN]}
    await api.post("/v1/admin/pause-processing", json={"reason": "moving house"}, headers=admin)
    for step in ("isolate", "restore"):
        await api.post(f"/v1/admin/tenants/{tenant_id}/{step}", json={"reason": "drill"}, headers=operator)
    resources.get(TokenLookup)._known.clear()
    left = await api.post("/v1/admin/resume-processing", json={"queue": "remediation"}, headers=admin)
    assert [(pause["queue"], pause["reason"]) for pause in left.json()["items"]] == [("*", "moving house")]
