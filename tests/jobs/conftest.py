"""Jobs that the engine's own tests run, in a registry of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from sqlalchemy import text

from app.core.backoff import RetryPolicy
from app.core.ids import JobId, TenantId
from app.core.jobs import BACKLOG_PRIORITY, Job, JobRegistry, Queue
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.fixtures.database import make_tenant


@dataclass(frozen=True, kw_only=True)
class Note(Job):
    """Writes its text down; the handler is the test's."""

    kind: ClassVar[str] = "test.note"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, base_s=0.0)

    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Drain(Note):
    """The same, coalescing."""

    kind: ClassVar[str] = "test.drain"
    coalesces: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Pile(Note):
    """Part of a backlog."""

    kind: ClassVar[str] = "test.pile"
    priority: ClassVar[int] = BACKLOG_PRIORITY


@dataclass
class Bench:
    """A database of the test's own, one tenant in it, and a registry to fill."""

    database: Database
    resources: Resources
    tenant_id: TenantId
    registry: JobRegistry = field(default_factory=JobRegistry)
    seen: list[str] = field(default_factory=list)

    async def row(self, job_id: JobId | None = None) -> dict[str, Any]:
        """The one job, or the named one, as a mapping."""
        rows = [row for row in await self.rows() if job_id is None or row["id"] == job_id]
        assert len(rows) == 1, rows
        return rows[0]

    async def rows(self) -> list[dict[str, Any]]:
        async with tenant_session(self.database, self.tenant_id) as session:
            found = await session.execute(text("select * from jobs order by id"))
            return [dict(row) for row in found.mappings()]

    async def change(self, statement: str, **values: Any) -> None:
        """Damage or move rows, as the tenant."""
        async with tenant_session(self.database, self.tenant_id) as session:
            await session.execute(text(statement), values)


@pytest.fixture
async def bench(scratch_database: Database, scratch_resources: Resources) -> Bench:
    return Bench(scratch_database, scratch_resources, await make_tenant(scratch_database))
