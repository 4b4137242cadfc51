"""Senders of other services, in front of the whole application."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.dropin.app import DropInApp
from app.ingest.hot import IngestApp
from app.ingest.service import CreatedSource
from app.settings import Settings
from tests.factories.ingest import committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs


@dataclass
class Mover:
    """A tenant whose senders were made for other services."""

    api: httpx.AsyncClient
    resources: Resources
    database: Database
    tenant_id: TenantId
    source: CreatedSource

    @property
    def key(self) -> str:
        assert self.source.secret is not None
        return self.source.secret

    async def event(self, path: str = "/v2/enqueue", **fields: Any) -> httpx.Response:
        """Send an event as PagerDuty's clients do, with the source's key unless another is given."""
        name = "service_key" if path.startswith("/generic") else "routing_key"
        return await self.api.post(path, json={name: self.key} | fields)

    async def genie(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """Ask as Opsgenie's clients do."""
        headers = {"Authorization": f"GenieKey {key or self.key}"}
        content = orjson.dumps(body) if body is not None else None
        return await self.api.request(method, path, content=content, headers=headers)

    async def work(self) -> None:
        """Let the worker take up what was stored."""
        await run_jobs(self.resources)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with tenant_session(self.database, self.tenant_id) as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]

    async def states(self) -> list[tuple[str, str]]:
        """Title and state of each incident."""
        return [(row["title"], row["state"]) for row in await self.rows("select * from incidents order by number")]


@dataclass
class World:
    """The intake route and the other services' paths on a database of the test's own, with one tenant."""

    api: httpx.AsyncClient
    resources: Resources
    database: Database
    tenant_id: TenantId

    async def mover(self, kind: str, *, tenant_id: TenantId | None = None, **changes: Any) -> Mover:
        """Make a source of a kind."""
        owner = tenant_id or self.tenant_id
        source = await committed_source(self.resources, owner, kind=kind, **changes)
        return Mover(self.api, self.resources, self.database, owner, source)


@pytest.fixture
async def world(scratch_database: Database, scratch_resources: Resources) -> AsyncIterator[World]:
    """Nothing is remembered of sources and keys, so that a change shows at once."""
    settings = scratch_resources.get(Settings)
    forgetful = {"source_cache_ttl_s": 0.0, "unknown_cache_ttl_s": 0.0, "commit_wait_s": 10.0}
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update=forgetful)})
    scratch_resources.provide(Settings, settings)
    intake = IngestApp(scratch_resources)
    dropin = DropInApp(scratch_resources, intake.answer)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await (dropin if DropInApp.serves(scope["path"]) else intake)(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=dispatch), base_url="http://tocsin.test") as api:
        yield World(api, scratch_resources, scratch_database, await make_tenant(scratch_database))
    await intake.aclose()


def trigger(**changes: Any) -> Mapping[str, Any]:
    """A trigger of the Events API, version 2."""
    payload = {"summary": "Disk full on db-1", "source": "db-1", "severity": "critical"}
    return {"event_action": "trigger", "payload": payload | changes.pop("payload", {})} | changes


def new_routing_key() -> str:
    return secrets.token_hex(16)
