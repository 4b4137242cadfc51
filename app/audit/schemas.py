"""What the audit API shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class AuditEntryView(BaseModel):
    """One entry of the trail."""

    model_config = ConfigDict(from_attributes=True)

    seq: int = Field(description="Its place in the tenant's chain, without gaps from 1.")
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    subject: str
    detail: dict[str, Any]
