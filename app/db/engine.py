"""The engines of a process: one pool per database role, opened once."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.settings.database import DatabaseSettings


def _dumps(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def make_engine(url: str, settings: DatabaseSettings, *, pool_size: int, overflow: int, name: str) -> AsyncEngine:
    """This will build one engine whose sessions carry our time-outs and a readable application name."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=settings.pool_wait_s,
        pool_recycle=settings.pool_recycle_s,
        pool_reset_on_return="rollback",
        pool_use_lifo=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": settings.connect_timeout_s,
            "server_settings": {
                "application_name": f"tocsin-{name}",
                "statement_timeout": str(settings.statement_timeout_ms),
                "lock_timeout": str(settings.lock_timeout_ms),
                "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
                "timezone": "UTC",
                "jit": "off",
            },
        },
    )


class Database:
    """The process's two pools.

    Attributes:
        app: As ``tocsin_app``; reached through ``tenant_session`` only.
        system: As ``tocsin_system``; reached through ``system_session`` only.
        on_enqueued: Called after each commit that made a job, to wake a relay; must not block or raise.
    """

    def __init__(self, *, app: AsyncEngine, system: AsyncEngine) -> None:
        self.app = app
        self.system = system
        self.on_enqueued: Callable[[], None] | None = None

    @classmethod
    def from_settings(cls, settings: DatabaseSettings) -> Database:
        """This will build the engines; no connection is opened before the first use."""
        return cls(
            app=make_engine(
                settings.app_url.get_secret_value(),
                settings,
                pool_size=settings.pool_size,
                overflow=settings.pool_overflow,
                name="app",
            ),
            system=make_engine(
                settings.system_url.get_secret_value(),
                settings,
                pool_size=settings.system_pool_size,
                overflow=0,
                name="system",
            ),
        )

    async def dispose(self) -> None:
        """This will close both pools."""
        await self.app.dispose()
        await self.system.dispose()
