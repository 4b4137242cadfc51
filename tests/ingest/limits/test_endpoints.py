"""Who may set which limit, and what is written down about it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.auth.rules import Role
from app.cli.limits import app as cli
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.factories.ingest import committed_source

Tokens = dict[Role, str]


@pytest.fixture
async def source_id(resources: Resources, tenant_id: TenantId) -> UUID:
    return (await committed_source(resources, tenant_id)).source.id


async def put(api: httpx.AsyncClient, path: str, token: str, body: dict[str, Any]) -> httpx.Response:
    return await api.put(path, json=body, headers={"Authorization": token, "Idempotency-Key": new_id().hex})


async def audited(database: Database, tenant_id: TenantId, action: str) -> list[Any]:
    async with tenant_session(database, tenant_id) as session:
        found = await session.execute(
            text("select detail from audit_entries where action = :action"), {"action": action}
        )
        return list(found.scalars())


async def test_a_tenant_lowers_its_source_and_only_lowers(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId, source_id: UUID
) -> None:
    path = f"/v1/sources/{source_id}/limits"
    answer = await put(api, path, tokens[Role.ENGINEER], {"deliveries_per_s": 10, "storm_opens": 20})
    assert answer.status_code == 200, answer.text
    assert answer.json()["own"]["deliveries_per_s"] == 10
    read = (await api.get(path, headers={"Authorization": tokens[Role.VIEWER]})).json()
    assert read["effective"]["storm_opens"] == 20
    assert read["tenant"]["deliveries_per_s"] == 500
    for looser in ({"deliveries_per_s": 501}, {"storm_opens": 201}, {"storm_opens": 200, "storm_window_s": 30}):
        refused = await put(api, path, tokens[Role.ENGINEER], looser)
        assert (refused.status_code, refused.json()["code"]) == (422, "limits.too_loose"), looser
    assert (await put(api, path, tokens[Role.RESPONDER], {})).status_code == 403
    (detail,) = await audited(database, tenant_id, "source.limits_changed")
    assert detail == {"from": {}, "to": {"deliveries_per_s": 10.0, "storm_opens": 20}}


async def test_an_operator_sets_a_tenants_limits_and_the_tenant_reads_them(
    api: httpx.AsyncClient,
    operator_token: str,
    tokens: Tokens,
    database: Database,
    tenant_id: TenantId,
    source_id: UUID,
) -> None:
    path = f"/v1/admin/tenants/{tenant_id}/limits"
    answer = await put(api, path, operator_token, {"deliveries_per_s": 2000, "backlog": 99})
    assert answer.status_code == 200, answer.text
    mine = (await api.get("/v1/limits", headers={"Authorization": tokens[Role.VIEWER]})).json()
    assert (mine["own"]["deliveries_per_s"], mine["effective"]["backlog"]) == (2000, 99)
    raised = await put(api, f"/v1/sources/{source_id}/limits", tokens[Role.ENGINEER], {"deliveries_per_s": 1500})
    assert raised.status_code == 200, "what an operator raised may be used"
    assert len(await audited(database, tenant_id, "tenant.limits_changed")) == 1
    assert (await put(api, path, tokens[Role.ADMIN], {"backlog": 1})).status_code == 401, "no tenant sets its own"
    assert (await put(api, f"/v1/admin/tenants/{new_id()}/limits", operator_token, {})).status_code == 404


async def test_another_tenants_source_is_not_there(
    api: httpx.AsyncClient, other_tokens: Tokens, source_id: UUID
) -> None:
    path = f"/v1/sources/{source_id}/limits"
    token = other_tokens[Role.ADMIN]
    assert (await api.get(path, headers={"Authorization": token})).status_code == 404
    assert (await put(api, path, token, {"deliveries_per_s": 1})).status_code == 404


@pytest.mark.parametrize(
    "body", [{"deliveries_per_s": 0}, {"deliveries_per_s": -1}, {"no_such": 1}, {"storm_opens": 0}]
)
async def test_senseless_limits_are_refused(
    api: httpx.AsyncClient, tokens: Tokens, source_id: UUID, body: dict[str, Any]
) -> None:
    assert (await put(api, f"/v1/sources/{source_id}/limits", tokens[Role.ADMIN], body)).status_code == 422


def test_the_command_line_refuses_what_the_api_refuses() -> None:
    run = CliRunner().invoke(cli, ["set-tenant", "--tenant", str(new_id()), "--backlog", "0"])
    assert run.exit_code == 2
    assert "backlog" in run.output
