"""What the tests of outgoing calls share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.net.outbound import OutboundHttp
from tests.net.callers import outbound


@pytest.fixture
async def http() -> AsyncIterator[OutboundHttp]:
    client = outbound("127.0.0.0/8")
    yield client
    await client.aclose()
