"""How much a tenant and a source may send."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """Limits of the intake. Over one the answer is 503 with Retry-After; 0 is without a limit.

    Rates hold for all API processes together: each lets its share through, and they count each other through Redis.
    """

    tenant_deliveries_per_s: float = Field(500.0, ge=0, description="Deliveries a second of one tenant.")
    tenant_bytes_per_s: float = Field(33_554_432.0, ge=0, description="Bytes of bodies a second of one tenant.")
    tenant_alerts_per_min: float = Field(
        60_000.0, ge=0, description="Alerts in sixty seconds of one tenant, counted as they are worked through."
    )
    tenant_backlog: int = Field(
        20_000,
        ge=0,
        description="Deliveries of one tenant that may wait to be worked through; over it the answer is 503.",
    )
    source_deliveries_per_s: float = Field(
        0.0, ge=0, description="Deliveries a second of one source; 0 leaves it to its tenant's limit."
    )
    source_bytes_per_s: float = Field(
        0.0, ge=0, description="Bytes of bodies a second of one source; 0 leaves it to its tenant's limit."
    )
    source_alerts_per_min: float = Field(
        0.0, ge=0, description="Alerts in sixty seconds of one source; 0 leaves it to its tenant's limit."
    )
    burst_s: float = Field(10.0, ge=0.1, description="Seconds of a rate that may come at once after a quiet time.")
    retry_after_s: int = Field(2, ge=1, description="Seconds that a sender over a rate is asked to wait.")
    backlog_retry_after_s: int = Field(
        10, ge=1, description="Seconds that a sender is asked to wait for a full backlog."
    )
    api_processes: int = Field(
        1,
        ge=1,
        description="API processes among which a rate is divided at least; more are found by their signs of life in Redis.",
    )
    refresh_s: float = Field(
        1.0, gt=0, description="Seconds between two looks at limits, backlogs and the number of API processes."
    )
    tenants_in_memory: int = Field(10_000, ge=1, description="Tenants whose use one process remembers.")
