"""Where Redis or Valkey is. It carries hints and ids only; losing all of it loses no work."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class RedisSettings(BaseModel):
    """The broker and cache."""

    url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="Redis or Valkey URL for Celery and hints."
    )
    timeout_s: float = Field(2.0, gt=0, description="Seconds before a Redis call is given up.")
    key_prefix: str = Field(
        "tocsin", min_length=1, max_length=40, description="First part of every key; one per deployment."
    )
