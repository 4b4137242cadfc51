"""An intake route in the test's process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.settings import Settings
from tests.factories.ingest import Sender, make_sender
from tests.fixtures.commands import put_in_environment
from tests.fixtures.database import make_tenant


def without_memory(resources: Resources) -> None:
    """Sources are looked up anew for each request, so that a change shows at once."""
    settings = resources.get(Settings)
    ingest = settings.ingest.model_copy(update={"source_cache_ttl_s": 0.0, "unknown_cache_ttl_s": 0.0})
    resources.provide(Settings, settings.model_copy(update={"ingest": ingest}))


@pytest.fixture
def environment(settings: Settings, tenant_id: TenantId, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator of the tenant has set before they type a command."""
    put_in_environment(monkeypatch, settings, TOCSIN_TENANT=str(tenant_id))


@pytest.fixture
async def tenant(scratch_database: Database) -> TenantId:
    """On the test's own database."""
    return await make_tenant(scratch_database)


@pytest.fixture
async def sender(resources: Resources) -> AsyncIterator[Sender]:
    """On the shared database."""
    without_memory(resources)
    sender = make_sender(resources)
    yield sender
    await sender.client.aclose()
    await sender.app.aclose()


@pytest.fixture
async def scratch_sender(scratch_resources: Resources) -> AsyncIterator[Sender]:
    """On a database of the test's own, for what the relay does."""
    without_memory(scratch_resources)
    sender = make_sender(scratch_resources)
    yield sender
    await sender.client.aclose()
    await sender.app.aclose()
