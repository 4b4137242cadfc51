"""What runbooks may do at most, whatever they say themselves."""

from __future__ import annotations

from pydantic import BaseModel, Field


class RemediationSettings(BaseModel):
    """Limits on top of each runbook's own; the stricter one counts."""

    enabled: bool = Field(
        True, description="False lets no runbook act: running ones are refused at their next act and hand over."
    )
    max_acts_per_target_hour: int = Field(10, ge=1, le=1000, description="Acts on one target in an hour.")
    max_acts_per_tenant_hour: int = Field(100, ge=1, le=10_000, description="Acts of one tenant in an hour.")
    ineffective_limit: int = Field(
        3, ge=1, le=20, description="Runs in a row that acted on a target without proven recovery and block the next."
    )
    ineffective_window_s: int = Field(
        86_400, ge=60, description="Seconds after which an ineffective run no longer counts against its target."
    )
    expiry_grace_s: int = Field(
        60, ge=0, le=3600, description="Seconds after a run's deadline at which it is ended even without its worker."
    )
