"""``python -m app.smtp``: one SMTP listener, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal

import structlog
from redis.asyncio import Redis

from app.core import failpoints
from app.core.clock import Clock, SystemClock
from app.core.heap import settle_heap
from app.core.resources import Resources
from app.db.engine import Database
from app.db.roles import assert_safe_roles
from app.kv.client import connect_redis
from app.kv.hints import Hints
from app.net.keyring import KeyRing
from app.observability.logging import configure_logging
from app.observability.metrics import serve_metrics
from app.observability.probes import Pulse
from app.observability.tracing import configure_tracing, shutdown_tracing
from app.settings import Settings
from app.settings.production import Process, refuse_weak_settings
from app.smtp.listener import Listener

log = structlog.get_logger(__name__)

_BEAT_S = 1.0
_STUCK_AFTER_S = 30.0


def build_resources(settings: Settings) -> Resources:
    """This will build what the listener needs and no more: it runs no handler, so it imports none."""
    redis = connect_redis(settings)
    hints = Hints(redis, prefix=settings.redis.key_prefix)
    database = Database.from_settings(settings.database)
    # Or else the relay would see a mail's job at its next poll only.
    database.on_enqueued = hints.nudge
    resources = Resources()
    resources.provide(Settings, settings)
    resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    resources.provide(Database, database)
    resources.provide(Redis, redis)
    resources.provide(KeyRing, KeyRing.from_settings(settings.security))
    return resources


async def serve(settings: Settings, pulse: Pulse) -> None:
    """This will run the listener until a signal stops it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    resources = build_resources(settings)
    try:
        await assert_safe_roles(resources.get(Database))
        listener = Listener(resources)
        await listener.start()
        settle_heap()
        log.info("smtp.started", port=listener.port, has_tls=settings.smtp.certificate_file is not None)
        await _beat_until(stop, pulse)
        pulse.end()
        await listener.stop()
    finally:
        await resources.get(Redis).aclose()
        await resources.get(Database).dispose()


async def _beat_until(stop: asyncio.Event, pulse: Pulse) -> None:
    """The pulse is the event loop's own: as long as it turns, connections are served."""
    while not stop.is_set():
        pulse.beat()
        try:
            await asyncio.wait_for(stop.wait(), _BEAT_S)
        except TimeoutError:
            continue


def main() -> None:
    """This will configure the process and run the listener."""
    settings = Settings()
    refuse_weak_settings(settings, process=Process.SMTP)
    configure_logging(settings.telemetry, process="smtp")
    configure_tracing(settings.telemetry, process="smtp")
    failpoints.arm(settings.failpoints)
    pulse = Pulse(max_age_s=_STUCK_AFTER_S)
    metrics = serve_metrics(settings.telemetry.metrics_host, settings.smtp.metrics_port, probes=pulse.probes())
    asyncio.run(serve(settings, pulse))
    metrics.close()
    shutdown_tracing()
    log.info("smtp.stopped")


if __name__ == "__main__":
    main()
