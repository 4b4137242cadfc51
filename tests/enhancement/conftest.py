"""The stand-ins that these tests talk to."""

from __future__ import annotations

from tests.fixtures.chat import chat
from tests.fixtures.servicedesk import servicedesk

__all__ = ["chat", "servicedesk"]
