"""A database to restore into."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fixtures.database import PostgresServer
from tests.operations.backups import empty_target


@pytest.fixture
async def target(postgres: PostgresServer) -> AsyncIterator[str]:
    async with empty_target(postgres) as name:
        yield name
