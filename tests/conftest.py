"""Fixtures that every test may use; each family lives in its own module under ``tests/fixtures``."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """This will name the marker of the attacks; most tests of them live under ``tests/attacks``."""
    config.addinivalue_line("markers", "attack(*ids): the attacks of docs/security.md that the test carries out")


pytest_plugins = [
    "tests.fixtures.alertmanager",
    "tests.fixtures.api",
    "tests.fixtures.clock",
    "tests.fixtures.database",
    "tests.fixtures.examples",
    "tests.fixtures.otlp",
    "tests.fixtures.process",
    "tests.fixtures.redis",
    "tests.fixtures.stack",
    "tests.fixtures.tokens",
]
