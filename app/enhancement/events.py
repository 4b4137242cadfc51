"""Facts about enhancements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.ids import TenantId


@dataclass(frozen=True, kw_only=True)
class EnhancementPublished:
    """A note stands on the ticket."""

    tenant_id: TenantId
    enhancement_id: UUID
    incident_id: UUID | None
    ticket: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class EnhancementFailed:
    """No note was written, for the reason given."""

    tenant_id: TenantId
    enhancement_id: UUID
    incident_id: UUID | None
    ticket: str
    reason_code: str
    at: datetime
