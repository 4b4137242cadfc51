"""A tenant with a patient: an HTTP service that can be broken, refuses, hangs, or stays broken, and counts what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.auth.rules import Role
from app.core.actor import Actor
from app.core.clock import Clock, FakeClock
from app.core.ids import IncidentId, TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.incidents.schemas import IncidentView
from app.incidents.service import get_incident, list_timeline
from app.net.keyring import KeyRing
from app.remediation.jobs import start_run
from app.remediation.rules.states import Mode
from app.remediation.schemas import RuleIn, RuleMatch, RunDetail, RunView, TargetIn
from app.remediation.service import (
    RunRequest,
    create_rule,
    create_runbook,
    create_target,
    get_run,
    list_runs,
)
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.factories.incidents import deliver, make_event, make_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.fixtures.servicedesk import serve

STARTER = Actor.system("starter")


@dataclass
class Patient:
    """The service under treatment."""

    healthy: bool = False
    heals: bool = True
    restarts: int = 0
    writes: list[str] = field(default_factory=list)
    on_restart: Callable[[], Awaitable[None]] | None = None
    on_look: Callable[[], Awaitable[None]] | None = None
    answers: int = 200

    async def health(self, request: Request) -> JSONResponse:
        if self.on_look is not None:
            await self.on_look()
        return JSONResponse({"ok": self.healthy}, status_code=200 if self.healthy else 503)

    async def restart(self, request: Request) -> JSONResponse:
        self.writes.append(f"{request.method} {request.url.path}")
        self.restarts += 1
        self.healthy = self.heals
        if self.on_restart is not None:
            await self.on_restart()
        return JSONResponse({"restarts": self.restarts}, status_code=self.answers)


@dataclass
class Ward:
    """One tenant, its patient and the clock."""

    resources: Resources
    tenant_id: TenantId
    clock: FakeClock
    patient: Patient
    url: str

    @property
    def database(self) -> Database:
        return self.resources.get(Database)

    def now(self) -> datetime:
        return self.clock.now()

    async def add_target(self, name: str = "web", **differs: Any) -> UUID:
        body = {"name": name, "kind": "http", "connection": {"base_url": self.url}} | differs
        async with tenant_session(self.database, self.tenant_id) as session:
            view = await create_target(
                session, target=TargetIn(**body), keyring=self.resources.get(KeyRing), actor=STARTER, now=self.now()
            )
        return view.id

    async def add_rule(self, **differs: Any) -> None:
        values: dict[str, Any] = {
            "name": "recover",
            "match": RuleMatch(alert=["ServiceDown"]),
            "runbook": "http-service-recovery",
            "targets": {"service": "web"},
            "mode": Mode.AUTO,
        }
        async with tenant_session(self.database, self.tenant_id) as session:
            await create_rule(session, rule=RuleIn(**(values | differs)), actor=STARTER, now=self.now())

    async def add_runbook(self, source: str) -> None:
        async with tenant_session(self.database, self.tenant_id) as session:
            await create_runbook(session, source=source, actor=STARTER, now=self.now())

    async def open_incident(self, key: str = "ServiceDown", host: str = "web-1") -> IncidentId:
        async with tenant_session(self.database, self.tenant_id) as session:
            event = make_event(f"{key}-{host}", labels={"alertname": key, "host": host})
            (applied,) = await deliver(session, make_source(), event, now=self.now())
        assert applied.incident_id is not None
        return applied.incident_id

    async def start(self, *, mode: Mode = Mode.AUTO, **differs: Any) -> UUID:
        values: dict[str, Any] = {"runbook": "http-service-recovery", "targets": {"service": "web"}, "mode": mode}
        async with tenant_session(self.database, self.tenant_id) as session:
            run = await start_run(
                session,
                request=RunRequest(**(values | differs)),
                actor=STARTER,
                limits=self.resources.get(Settings).remediation,
                now=self.now(),
            )
        return run.id

    async def work(self) -> None:
        """Run what is due now."""
        await run_jobs(self.resources)

    async def let_pass(self, seconds: float, *, step_s: float = 1.0) -> None:
        """Let time pass in steps, with the worker at work all the while."""
        end = self.now() + timedelta(seconds=seconds)
        await self.work()
        while self.now() < end:
            self.clock.advance(timedelta(seconds=step_s))
            await self.work()

    async def runs(self) -> list[RunView]:
        async with tenant_session(self.database, self.tenant_id) as session:
            return await list_runs(session)

    async def run(self, run_id: UUID | None = None) -> RunDetail:
        found = run_id or (await self.runs())[0].id
        async with tenant_session(self.database, self.tenant_id) as session:
            return await get_run(session, run_id=found)

    async def incident(self, incident_id: IncidentId) -> IncidentView:
        async with tenant_session(self.database, self.tenant_id) as session:
            return await get_incident(session, incident_id=incident_id)

    async def told(self, incident_id: IncidentId) -> list[str]:
        """The kinds of the incident's timeline, oldest first."""
        async with tenant_session(self.database, self.tenant_id) as session:
            entries = await list_timeline(session, incident_id=incident_id, after=None, limit=200)
        return [entry.kind for entry in entries]

    async def change(self, statement: str, **values: Any) -> None:
        async with tenant_session(self.database, self.tenant_id) as session:
            await session.execute(text(statement), values)


@pytest.fixture
async def ward(scratch_database: Database, scratch_resources: Resources, clock: FakeClock) -> AsyncIterator[Ward]:
    """A tenant whose target ``web`` is a broken service that a restart mends."""
    scratch_resources.provide(Clock, clock)  # type: ignore[type-abstract]
    patient = Patient()
    routes = [
        Route("/health", patient.health, methods=["GET"]),
        Route("/restart", patient.restart, methods=["POST", "PUT"]),
    ]
    async with serve(Starlette(routes=routes)) as url:
        ward = Ward(scratch_resources, await make_tenant(scratch_database), clock, patient, url)
        await ward.add_target()
        yield ward


@dataclass(frozen=True)
class Callers:
    """The ward's API, called as one role or another."""

    client: httpx.AsyncClient
    tokens: dict[Role, str]

    async def call(self, role: Role, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {"authorization": self.tokens[role]} | ({"idempotency-key": key} if key is not None else {})
        return await self.client.request(method, path, headers=headers, **more)


@pytest.fixture
async def callers(ward: Ward) -> AsyncIterator[Callers]:
    """The application on the ward's database and clock, with a token for each role of its tenant."""
    # Imported here: a test without the API does not pay for building every router.
    from app.main import create_app

    application = create_app(ward.resources.get(Settings), ward.resources)
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test") as client:
        yield Callers(client, await make_tokens(ward.resources, ward.tenant_id))
