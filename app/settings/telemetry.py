"""Logs, metrics and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class TelemetrySettings(BaseModel):
    """What a process says about itself, and where."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="'console' is for people and used only where standard output is a terminal."
    )
    metrics_host: str = Field("127.0.0.1", description="Address the metrics port listens on; never the public one.")
    otlp_endpoint: str = Field(
        "", description="Base URL of an OTLP/HTTP receiver (http://host:4318); empty: spans are not recorded."
    )
    otlp_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers of each export as a JSON object, for a receiver that wants a key."
    )
    trace_sample_ratio: float = Field(1.0, ge=0.0, le=1.0, description="Share of new traces that are recorded, 0 to 1.")
    export_interval_s: float = Field(1.0, gt=0, description="Seconds between exports of finished spans.")
    export_timeout_s: float = Field(5.0, gt=0, description="Seconds an export may take; also bounds the last one.")
