"""Building a process: its resources from its settings, and every domain's handlers and subscribers.

The API, the relay, the worker and the tests all start here, so that what one of them has, all have.
"""

from __future__ import annotations

import importlib

from redis.asyncio import Redis

from app.core.breath import RightOfWay
from app.core.clock import Clock, SystemClock
from app.core.jobs import JobRegistry, registry
from app.core.resources import Resources
from app.db.engine import Database
from app.enhancement.service.catalogue import context_sources, desk_kinds
from app.ingest.jobs import BacklogGate
from app.ingest.sources import all_sources
from app.kv.client import connect_redis
from app.kv.hints import Hints
from app.net.keyring import KeyRing
from app.net.outbound import OutboundHttp
from app.net.signing import shipped_profiles
from app.remediation.library import shipped as shipped_runbooks
from app.settings import Settings

# Importing one of these registers its job handlers and event subscribers.
DOMAINS_WITH_JOBS = (
    "app.ingest.jobs",
    "app.ingest.confirmations",
    "app.ingest.replays.jobs",
    "app.ingest.trials.jobs",
    "app.ingest.heartbeats.jobs",
    "app.ingest.checks.jobs",
    "app.incidents.jobs",
    "app.remediation.jobs",
    "app.enhancement.jobs",
)


def load_handlers() -> JobRegistry:
    """This will import each domain's jobs module and return the registry that they filled."""
    for module in DOMAINS_WITH_JOBS:
        importlib.import_module(module)
    return registry


def load_shipped() -> None:
    """This will read what ships with Tocsin as data or plug-ins, which the first request or job would wait for otherwise."""
    all_sources()
    shipped_profiles()
    shipped_runbooks()
    context_sources()
    desk_kinds()


def build_resources(settings: Settings, *, database: Database | None = None) -> Resources:
    """This will build what a process needs once; no connection is opened yet.

    Args:
        settings: The process's settings.
        database: An existing database to use, for tests that share one.
    """
    load_handlers()
    load_shipped()
    redis = connect_redis(settings)
    hints = Hints(redis, prefix=settings.redis.key_prefix)
    pools = database if database is not None else Database.from_settings(settings.database)
    if database is None:
        pools.on_enqueued = hints.nudge
    resources = Resources()
    resources.provide(Settings, settings)
    resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    resources.provide(Database, pools)
    resources.provide(Redis, redis)
    resources.provide(Hints, hints)
    resources.provide(KeyRing, KeyRing.from_settings(settings.security))
    resources.provide(OutboundHttp, OutboundHttp(settings.security))
    resources.provide(RightOfWay, RightOfWay())
    resources.provide(BacklogGate, BacklogGate(settings.ingest.backlogs_at_once))
    return resources


async def close_resources(resources: Resources, *, keep_database: bool = False) -> None:
    """This will end what runs on the resources, then close clients and pools."""
    await resources.run_closers()
    await resources.get(OutboundHttp).aclose()
    await resources.get(Redis).aclose()
    if not keep_database:
        await resources.get(Database).dispose()
