"""People of one tenant, a run that one of them started, and how another one decides on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.auth.rules import Role
from app.db.tenancy import tenant_session
from app.main import create_app
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.factories.incidents import deliver, make_event, make_source
from tests.factories.runbooks import LOOK, make_runbook, restart
from tests.remediation.conftest import Ward

ASK = """  - ask: sure
    question: "Restart because of ${incident.title}?"
    by: responder
    expires: 5m
"""
ASKING = make_runbook(
    "asks-first",
    ASK,
    LOOK,
    restart('method: POST, path: "${inputs.path}"'),
    limits="ceiling: once, cooldown: 0s, run_timeout: 20m",
    inputs="path: {type: string, default: /restart, max_length: 200}",
)


class People(dict[Role, httpx.AsyncClient]):
    """A client of the API for each role in the ward's tenant, and for whoever else has a token of it."""

    def __init__(self, ward: Ward) -> None:
        super().__init__()
        application = create_app(ward.resources.get(Settings), ward.resources)
        self._transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
        self._others: list[httpx.AsyncClient] = []

    def who_holds(self, token: str) -> httpx.AsyncClient:
        """This will return a client for the value of an Authorization header."""
        client = httpx.AsyncClient(
            transport=self._transport, base_url="http://tocsin.test", headers={"authorization": token}
        )
        self._others.append(client)
        return client

    async def make(self, maker: httpx.AsyncClient, role: Role) -> httpx.AsyncClient:
        """This will have an admin make one more token, and return who holds it."""
        made = await maker.post("/v1/tokens", json={"name": "made", "role": role.value})
        assert made.status_code == 201, made.text
        return self.who_holds(f"Bearer {made.json()['token']}")

    async def aclose(self) -> None:
        for client in self._others:
            await client.aclose()


@pytest.fixture
async def people(ward: Ward) -> AsyncIterator[People]:
    found = People(ward)
    for role, token in (await make_tokens(ward.resources, ward.tenant_id)).items():
        found[role] = found.who_holds(token)
    await ward.add_runbook(ASKING)
    yield found
    await found.aclose()


async def asked(ward: Ward, starter: httpx.AsyncClient, *, title: str = "Down", **inputs: Any) -> dict[str, Any]:
    """A run that one person started and that waits for another, as the API shows it."""
    async with tenant_session(ward.database, ward.tenant_id) as session:
        event = make_event(f"down-{uuid4()}", title=title)
        (applied,) = await deliver(session, make_source(), event, now=ward.now())
    body = {"runbook": "asks-first", "targets": {"service": "web"}, "inputs": inputs}
    started = await starter.post("/v1/runs", json=body | {"incident_id": str(applied.incident_id)})
    assert started.status_code == 201, started.text
    await ward.work()
    run: dict[str, Any] = (await starter.get(f"/v1/runs/{started.json()['id']}")).json()
    assert run["state"] == "awaiting_approval", run
    return run


async def decide(
    who: httpx.AsyncClient, run: dict[str, Any], decision: str = "approve", **changes: str
) -> httpx.Response:
    body = {"step": "sure", "plan_digest": run["plan_digest"], "decision": decision} | changes
    return await who.post(f"/v1/runs/{run['id']}/approve", json=body)


async def rows(ward: Ward, statement: str) -> list[dict[str, Any]]:
    async with tenant_session(ward.database, ward.tenant_id) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]
