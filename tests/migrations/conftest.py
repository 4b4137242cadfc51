"""The marker that names a fault, which ``tests/faults`` declares for itself only."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(id): the fault of docs/faults.md that the test goes through")
