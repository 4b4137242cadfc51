"""Logs, metrics and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class TelemetrySettings(BaseModel):
    """What a process says about itself, and where."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="'json' for machines, 'console' for a terminal.")
    metrics_host: str = Field("127.0.0.1", description="Address the metrics port listens on; never the public one.")
    otlp_endpoint: str = Field(
        "", description="Base URL of an OTLP/HTTP receiver (http://host:4318); empty: no tracing."
    )
    trace_sample_ratio: float = Field(1.0, ge=0.0, le=1.0, description="Share of new traces that are recorded, 0 to 1.")
    export_interval_s: float = Field(1.0, gt=0, description="Seconds between exports of finished spans.")
