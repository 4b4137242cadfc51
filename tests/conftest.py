"""Fixtures that every test may use; each family lives in its own module under ``tests/fixtures``."""

from __future__ import annotations

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
