"""What counts as an alert storm."""

from __future__ import annotations

from pydantic import BaseModel, Field


class StormSettings(BaseModel):
    """When new alerts collapse into one incident instead of opening one each. A source may have thresholds of its own."""

    opens: int = Field(
        200, ge=1, description="Incidents that one source may open within the window; what comes on top is a storm."
    )
    window_s: float = Field(60.0, ge=1, description="Seconds of that window.")
    most_open: int = Field(
        500, ge=1, description="Open incidents of one source at which its storm begins, however slowly they came."
    )
    tenant_opens: int = Field(
        1000, ge=1, description="Incidents that all sources of a tenant together may open within the window."
    )
    p0_opens: int = Field(
        100, ge=0, description="Incidents of P0 that a source may still open within the window during a storm."
    )
    quiet_s: float = Field(300.0, ge=1, description="Seconds without a flood after which a storm is over.")
