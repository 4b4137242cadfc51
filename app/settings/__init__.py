"""Every setting, one section per area. ``TOCSIN_DATABASE__APP_URL`` sets ``settings.database.app_url``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core import failpoints
from app.settings.database import DatabaseSettings
from app.settings.enhancement import EnhancementSettings
from app.settings.http import HttpSettings
from app.settings.ingest import IngestSettings
from app.settings.jobs import JobSettings
from app.settings.limits import LimitSettings
from app.settings.redis import RedisSettings
from app.settings.remediation import RemediationSettings
from app.settings.security import SecuritySettings
from app.settings.smtp import SmtpSettings
from app.settings.storms import StormSettings
from app.settings.telemetry import TelemetrySettings


class Settings(BaseSettings):
    """The whole configuration of a process, read once at start."""

    model_config = SettingsConfigDict(
        env_prefix="TOCSIN_",
        env_nested_delimiter="__",
        extra="ignore",
        env_file=".env",
        frozen=True,
        # A malformed key or URL must not be printed by the error that refuses it.
        hide_input_in_errors=True,
    )

    environment: Literal["development", "production"] = Field(
        "development", description="'production' refuses weak or missing secrets and hides the interactive API pages."
    )
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    redis: RedisSettings = Field(default_factory=RedisSettings, description="Redis or Valkey.")
    jobs: JobSettings = Field(default_factory=JobSettings, description="Relay and workers.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="The API.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Logs, metrics, traces.")
    ingest: IngestSettings = Field(default_factory=IngestSettings, description="Webhook intake.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="What tenants and sources may send.")
    smtp: SmtpSettings = Field(default_factory=SmtpSettings, description="Receiving mail.")
    storms: StormSettings = Field(default_factory=StormSettings, description="Alert storms.")
    security: SecuritySettings = Field(default_factory=SecuritySettings, description="Keys and egress.")
    remediation: RemediationSettings = Field(default_factory=RemediationSettings, description="Runbooks.")
    enhancement: EnhancementSettings = Field(default_factory=EnhancementSettings, description="Ticket enhancement.")
    failpoints: str = Field(
        "",
        description="Where a fault test makes this process die, fail or wait (app/core/failpoints.py); refused in production.",
    )

    @model_validator(mode="after")
    def _no_failpoints_in_production(self) -> Self:
        # Here and not where the API starts: relay, worker and command line must refuse it too.
        if self.failpoints and self.environment == "production":
            raise ValueError("TOCSIN_FAILPOINTS must be empty in production: it makes processes fail on purpose")
        failpoints.parse(self.failpoints)
        return self
