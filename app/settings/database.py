"""Where PostgreSQL is and how patient we are with it."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class DatabaseSettings(BaseModel):
    """Connections by role. The URLs are SQLAlchemy URLs with the asyncpg driver."""

    app_url: SecretStr = Field(
        SecretStr("postgresql+asyncpg://tocsin_app@localhost/tocsin"),
        description="URL as role tocsin_app: API, workers. It must own nothing and must not bypass RLS.",
    )
    system_url: SecretStr = Field(
        SecretStr("postgresql+asyncpg://tocsin_system@localhost/tocsin"),
        description="URL as role tocsin_system: relay and key look-up, through definer functions only.",
    )
    owner_url: SecretStr | None = Field(
        None, description="URL as role tocsin_owner, only for migrations; leave it unset in API, relay and workers."
    )
    backup_url: SecretStr | None = Field(
        None, description="URL as role tocsin_backup, only for backups and restores; leave it unset elsewhere."
    )
    pool_size: int = Field(10, ge=1, le=200, description="Connections kept per process as tocsin_app.")
    pool_overflow: int = Field(5, ge=0, le=200, description="Connections beyond pool_size under load.")
    system_pool_size: int = Field(3, ge=1, le=50, description="Connections kept per process as tocsin_system.")
    pool_wait_s: float = Field(0.8, gt=0, description="Seconds to wait for a free connection before answering 503.")
    pool_recycle_s: int = Field(1800, ge=60, description="Seconds after which an idle connection is replaced.")
    connect_timeout_s: float = Field(5.0, gt=0, description="Seconds to wait for a new connection.")
    statement_timeout_ms: int = Field(10_000, ge=100, description="Milliseconds before the server cancels a statement.")
    lock_timeout_ms: int = Field(3_000, ge=50, description="Milliseconds to wait for a lock.")
    idle_in_transaction_timeout_ms: int = Field(
        15_000, ge=1_000, description="Milliseconds before the server ends a session that idles inside a transaction."
    )
