"""What the tenant API takes and shows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.tenants.rules import TenantState


class TenantRequest(BaseModel):
    """A tenant to make."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    slug: str = Field(min_length=3, max_length=40, description="Short name for URLs and logs.")
    name: str = Field(min_length=1, max_length=200)


class StateRequest(BaseModel):
    """Why a tenant is isolated or let back."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1, max_length=500)


class TenantView(BaseModel):
    """A tenant without anything of its own data."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    state: TenantState
    created_at: datetime


class CreatedTenantView(TenantView):
    """A new tenant with its first admin token, shown this once."""

    admin_token: str
