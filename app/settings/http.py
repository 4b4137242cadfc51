"""The API's server side."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class HttpSettings(BaseModel):
    """Limits and keys of the HTTP API."""

    public_url: str = Field("http://127.0.0.1:8080", description="Base URL that senders and people reach us under.")
    metrics_port: int = Field(9101, ge=0, le=65535, description="Metrics port of the API; 0 picks a free one.")
    max_body_bytes: int = Field(262_144, ge=1024, description="Largest body of a /v1 request, in bytes.")
    request_timeout_s: float = Field(20.0, gt=0, description="Seconds before a /v1 request is answered 503.")
    cursor_key: SecretStr = Field(
        SecretStr(""), description="Key that signs page cursors; empty derives one from the token pepper."
    )
    idempotency_hours: int = Field(24, ge=1, le=168, description="Hours that an Idempotency-Key is remembered.")
    ready_timeout_s: float = Field(2.0, gt=0, description="Seconds a readiness check may take per dependency.")
