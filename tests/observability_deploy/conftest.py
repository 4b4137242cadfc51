"""The programs that read what is deployed."""

from __future__ import annotations

import pytest

from tests.fixtures.prometheus import Tool
from tests.flows.conftest import flow
from tests.jobs.conftest import bench

__all__ = ["bench", "flow"]


@pytest.fixture
def promtool() -> Tool:
    return Tool("promtool")


@pytest.fixture
def amtool() -> Tool:
    return Tool("amtool")
