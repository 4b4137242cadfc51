"""``python -m workers.relay_main``: one relay, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import structlog
from sqlalchemy import text

from app.core import failpoints
from app.core.heap import settle_heap
from app.db.engine import Database
from app.db.roles import assert_safe_roles
from app.db.system import SystemSession
from app.kv.client import connect_redis
from app.kv.hints import Hints
from app.observability.logging import configure_logging
from app.observability.metrics import serve_metrics
from app.observability.probes import Pulse
from app.observability.tracing import configure_tracing, shutdown_tracing
from app.settings import Settings
from app.settings.production import Process, refuse_weak_settings
from workers.backup_watch import BackupWatch
from workers.celery_app import make_celery
from workers.isolation import IsolationWatch
from workers.partitions import PartitionKeeper
from workers.publisher import CeleryPublisher
from workers.quiet_keys import QuietKeys
from workers.relay import Relay, Sweep
from workers.server_watch import ServerWatch
from workers.storm_watch import StormWatch

log = structlog.get_logger(__name__)


def standard_sweeps(settings: Settings) -> list[Sweep]:
    """This will return what runs beside the relay's own repairs, each by itself: stranded deliveries, old rows, the watch
    on isolation and on PostgreSQL's connections."""
    keep_days = settings.ingest.delivery_retention_days
    return [
        _calling("sweep_intake(:older, :limit)", older=timedelta(seconds=settings.ingest.sweep_after_s), limit=500),
        _calling(
            "purge_finished(clock_timestamp() - cast(:keep as interval), :limit)",
            keep=timedelta(days=settings.jobs.keep_finished_days),
            limit=1000,
        ),
        _calling("expire_replay_keys(:limit)", limit=1000),
        _calling("expire_idempotency_keys(:limit)", limit=1000),
        _calling(
            "purge_deliveries(clock_timestamp() - cast(:keep as interval), :limit)",
            keep=timedelta(days=keep_days),
            limit=1000,
        ),
        IsolationWatch(),
        ServerWatch(),
        StormWatch(),
        PartitionKeeper(retention_days=keep_days),
        QuietKeys(),
        BackupWatch(),
    ]


def _calling(function: str, **values: object) -> Sweep:
    """A sweep that is one function of the database."""
    statement = text(f"select tocsin_private.{function}")

    async def sweep(session: SystemSession) -> None:
        await session.execute(statement, values)

    return sweep


async def serve(settings: Settings, pulse: Pulse) -> None:
    """This will run the relay until a signal stops it."""
    # Only what a relay needs: it runs no handler, so it imports none, and starts in half the time.
    redis = connect_redis(settings)
    database, hints = Database.from_settings(settings.database), Hints(redis, prefix=settings.redis.key_prefix)
    await assert_safe_roles(database)
    relay = Relay(
        database=database,
        publisher=CeleryPublisher(
            make_celery(settings, answer_timeout_s=settings.redis.timeout_s), prefix=settings.redis.key_prefix
        ),
        settings=settings.jobs,
        extra_sweeps=standard_sweeps(settings),
        pulse=pulse,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    listener = asyncio.create_task(hints.listen(relay.wake))
    settle_heap()
    try:
        await relay.run()
    finally:
        listener.cancel()
        await redis.aclose()
        await database.dispose()


def main() -> None:
    """This will configure the process and run its loop."""
    settings = Settings()
    refuse_weak_settings(settings, process=Process.RELAY)
    configure_logging(settings.telemetry, process="relay")
    configure_tracing(settings.telemetry, process="relay")
    failpoints.arm(settings.failpoints)
    pulse = Pulse(max_age_s=settings.jobs.stale_worker_s)
    metrics = serve_metrics(settings.telemetry.metrics_host, settings.jobs.relay_metrics_port, probes=pulse.probes())
    log.info("relay.started", metrics_port=metrics.port)
    asyncio.run(serve(settings, pulse))
    metrics.close()
    shutdown_tracing()
    log.info("relay.stopped")


if __name__ == "__main__":
    main()
