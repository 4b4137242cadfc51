"""Who gets in, as what, and how everybody else is turned away alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.auth.deps import TokenLookup
from app.auth.rules import Role, generate_token
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session

Tokens = dict[Role, str]


def without_request_id(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return {name: value for name, value in body.items() if name != "request_id"}


async def create(api: httpx.AsyncClient, admin: str, **body: Any) -> dict[str, Any]:
    answer = await api.post("/v1/tokens", json={"name": "n", "role": "viewer"} | body, headers={"Authorization": admin})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def forget(resources: Resources) -> None:
    """As after the look-up cache's few seconds."""
    resources.get(TokenLookup)._known.clear()


# Named, as tokens are drawn anew in every process and would give each test process names of its own.
BAD_CREDENTIALS: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "scheme only": "Bearer",
    "blank": "Bearer ",
    "two blanks": "Bearer  ",
    "basic": "Basic dXNlcjpwYXNz",
    "other scheme": "ApiKey ",
    "null": "Bearer null",
    "unknown token": f"Bearer {generate_token()}",
    "unknown operator": f"Bearer {generate_token('tco')}",
    "wrong scheme": f"Token {generate_token()}",
    "long": "Bearer " + "x" * 5000,
}


@pytest.mark.parametrize("credential", BAD_CREDENTIALS)
async def test_every_bad_credential_gets_the_same_401(api: httpx.AsyncClient, credential: str) -> None:
    header = BAD_CREDENTIALS[credential]
    answer = await api.get("/v1/me", headers={} if header is None else {"Authorization": header})
    reference = await api.get("/v1/me")
    assert answer.status_code == reference.status_code == 401
    assert without_request_id(answer) == without_request_id(reference)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_two_authorization_headers_are_refused(api: httpx.AsyncClient, tokens: Tokens) -> None:
    both = [("Authorization", tokens[Role.ADMIN]), ("Authorization", tokens[Role.VIEWER])]
    assert (await api.get("/v1/me", headers=both)).status_code == 401


async def test_a_token_says_who_it_is(api: httpx.AsyncClient, tokens: Tokens, tenant_id: TenantId) -> None:
    for role, header in tokens.items():
        me = (await api.get("/v1/me", headers={"Authorization": header})).json()
        assert (me["tenant_id"], me["role"]) == (str(tenant_id), role.value)
    lower = tokens[Role.VIEWER].replace("Bearer", "bearer")
    assert (await api.get("/v1/me", headers={"Authorization": lower})).status_code == 200


async def test_a_tenant_named_elsewhere_is_not_believed(
    api: httpx.AsyncClient, tokens: Tokens, tenant_id: TenantId, other_tenant_id: TenantId
) -> None:
    headers = {"Authorization": tokens[Role.VIEWER], "X-Tenant-Id": str(other_tenant_id)}
    me = (await api.get("/v1/me", headers=headers, params={"tenant_id": str(other_tenant_id)})).json()
    assert me["tenant_id"] == str(tenant_id)


async def test_an_expired_token_is_refused(api: httpx.AsyncClient, tokens: Tokens, clock: FakeClock) -> None:
    made = await create(api, tokens[Role.ADMIN], expires_at=(clock.now() + timedelta(hours=1)).isoformat())
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.get("/v1/me", headers=headers)).status_code == 200
    clock.advance(timedelta(hours=1))
    assert (await api.get("/v1/me", headers=headers)).status_code == 401


async def test_a_revoked_token_is_refused_and_listed_as_such(
    api: httpx.AsyncClient, tokens: Tokens, resources: Resources
) -> None:
    admin = {"Authorization": tokens[Role.ADMIN]}
    made = await create(api, tokens[Role.ADMIN])
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await api.get("/v1/me", headers=headers)).status_code == 200
    assert (await api.post(f"/v1/tokens/{made['id']}/revoke", headers=admin)).status_code == 200
    forget(resources)
    assert (await api.get("/v1/me", headers=headers)).status_code == 401
    again = await api.post(f"/v1/tokens/{made['id']}/revoke", headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "token.already_revoked")
    listed = (await api.get("/v1/tokens", headers=admin)).json()["items"]
    assert next(item for item in listed if item["id"] == made["id"])["revoked_at"] is not None


async def test_a_tokens_text_is_stored_nowhere(
    api: httpx.AsyncClient, tokens: Tokens, database: Database, tenant_id: TenantId
) -> None:
    made = await create(api, tokens[Role.ADMIN])
    async with tenant_session(database, tenant_id) as session:
        for table in ("api_tokens", "audit_entries", "idempotency_keys"):
            rows = (await session.execute(text(f"select t::text from {table} t"))).scalars().all()
            assert not any(made["token"] in row for row in rows), table
    listed = (await api.get("/v1/tokens", headers={"Authorization": tokens[Role.ADMIN]})).text
    assert made["token"] not in listed


@pytest.mark.parametrize("extra", [{"tenant_id": str(uuid4())}, {"id": str(uuid4())}, {"created_by": "me"}])
async def test_fields_that_are_not_the_callers_are_refused(
    api: httpx.AsyncClient, tokens: Tokens, extra: dict[str, str]
) -> None:
    body = {"name": "n", "role": "viewer"} | extra
    answer = await api.post("/v1/tokens", json=body, headers={"Authorization": tokens[Role.ADMIN]})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")


async def test_the_problem_names_the_role_that_is_needed(api: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await api.get("/v1/tokens", headers={"Authorization": tokens[Role.ENGINEER]})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.role_too_low")
    assert "admin" in answer.json()["detail"]
