"""The targets that actions are tried on."""

from __future__ import annotations

from tests.remediation.targets import outbound, watched_postgres

__all__ = ["outbound", "watched_postgres"]
