"""What is taken and shown of limits."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_PER_S = Field(None, gt=0, le=1e9, description="Deliveries a second; null is the default.")
_BYTES = Field(None, gt=0, le=1e15, description="Bytes of bodies a second; null is the default.")
_ALERTS = Field(None, gt=0, le=1e12, description="Alerts in sixty seconds; null is the default.")


class _Limits(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    deliveries_per_s: float | None = _PER_S
    bytes_per_s: float | None = _BYTES
    alerts_per_min: float | None = _ALERTS

    def stored(self) -> dict[str, Any]:
        """This will return those that are set."""
        return self.model_dump(exclude_none=True)


class TenantLimits(_Limits):
    """What a tenant may send, over all of its sources; set by an operator."""

    backlog: int | None = Field(
        None, ge=1, le=1_000_000_000, description="Deliveries that may wait to be worked through; null is the default."
    )


class SourceLimits(_Limits):
    """What one source may send, and what counts as a storm of it; nothing may be looser than what holds anyway."""

    storm_opens: int | None = Field(
        None, ge=1, le=100_000, description="Incidents that it may open in the window; what comes on top is a storm."
    )
    storm_window_s: float | None = Field(None, ge=1, le=86_400, description="Seconds of that window.")
    storm_quiet_s: float | None = Field(
        None, ge=1, le=86_400, description="Seconds without a flood after which its storm is over."
    )


class TenantLimitsView(BaseModel):
    """A tenant's limits: those that were set, and what holds."""

    own: TenantLimits
    effective: TenantLimits


class SourceLimitsView(BaseModel):
    """A source's limits: those that were set, and what holds. Its tenant's limits hold besides."""

    own: SourceLimits
    effective: SourceLimits
    tenant: TenantLimits
