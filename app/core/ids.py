"""Identifiers: one NewType per thing, all of them time-ordered UUIDv7 (RFC 9562)."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

TenantId = NewType("TenantId", UUID)
SourceId = NewType("SourceId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
AlertId = NewType("AlertId", UUID)
IncidentId = NewType("IncidentId", UUID)
JobId = NewType("JobId", UUID)
RunId = NewType("RunId", UUID)
TokenId = NewType("TokenId", UUID)


def new_id() -> UUID:
    """This will return a fresh UUIDv7, so primary keys sort by creation time."""
    return uuid7()
