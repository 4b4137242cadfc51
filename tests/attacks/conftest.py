"""A target to attack: the whole application with one source behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.main import Application
from app.settings import Settings
from tests.attacks.pipeline import pipeline
from tests.attacks.target import Target
from tests.factories.ingest import committed_source
from tests.fixtures.database import PostgresServer
from tests.fixtures.process import make_settings
from tests.net.conftest import http

__all__ = ["http", "pipeline"]


@pytest.fixture
def settings(postgres: PostgresServer, database_name: str, redis_url: str) -> Settings:
    """As everywhere, with nothing remembered of sources and refusals written down at once."""
    made = make_settings(postgres, database_name, redis_url)
    # And patient: a busy machine must not answer 503 where a refusal is expected.
    now = {"source_cache_ttl_s": 0.0, "unknown_cache_ttl_s": 0.0, "refusal_flush_s": 0.0, "commit_wait_s": 10.0}
    return made.model_copy(update={"ingest": made.ingest.model_copy(update=now)})


@pytest.fixture
async def target(
    application: Application,
    api: httpx.AsyncClient,
    resources: Resources,
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
) -> AsyncIterator[Target]:
    """A generic source with a Standard Webhooks secret; ``target.source_of`` makes others."""
    source = await committed_source(resources, tenant_id)
    yield Target(application, api, resources, database, tenant_id, clock, source)
    await application._ingest.aclose()
