"""A worker process's one event loop, one engine, one job runner.

Celery's pool threads only wait: each hands its id to the loop and blocks until the job is over, which gives Celery's
concurrency limit and warm shutdown their meaning. Next to them the loop polls PostgreSQL for jobs that the broker
should have brought, so a worker whose broker connection died (celery #8030) goes on working; its liveness is the last
completed poll, not the process.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError as FutureCancelled
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core import failpoints
from app.core.heap import settle_heap
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.roles import assert_safe_roles
from app.db.system import system_session
from app.observability.logging import configure_logging
from app.observability.metrics import MetricsServer, gauge, serve_metrics
from app.observability.probes import Pulse
from app.observability.tracing import configure_tracing, shutdown_tracing
from app.settings import Settings
from app.wiring import build_resources, close_resources, load_handlers
from workers.runner import JobRunner
from workers.slots import Slots

log = structlog.get_logger(__name__)

LAST_POLL = gauge("tocsin_worker_last_poll_timestamp_seconds", "Unix time of the last completed poll.", ())
POLL_S = 1.0
SWITCH_S = 0.001
SETTLE_S = 5.0
_POLL = text(
    "select q.queue, p.tenant_id, p.id from unnest(cast(:queues as text[]), cast(:free as integer[])) q(queue, free)"
    " cross join lateral tocsin_private.poll_published(array[q.queue], :older, q.free) p"
)


class WorkerRuntime:
    """Everything a worker process holds. ``start`` once, then ``run_blocking`` from any thread."""

    def __init__(self, settings: Settings, *, queues: Sequence[str], concurrency: int) -> None:
        self._settings = settings
        self._queues = list(queues)
        self._slots = Slots(queues, concurrency)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tocsin-loop", daemon=True)
        self._running: set[asyncio.Task[object]] = set()
        self._put_off: set[UUID] = set()
        self._draining = threading.Event()
        self._metrics: MetricsServer | None = None
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}"
        self._pulse = Pulse(max_age_s=settings.jobs.stale_worker_s)

    def start(self) -> None:
        """This will start the loop and refuse to go on as an unsafe database role."""
        # The loop computes for long in a storm. Each thread that brings it a job would wait 5 ms for the interpreter, Python's
        # default, several times over.
        sys.setswitchinterval(SWITCH_S)
        configure_logging(self._settings.telemetry, process="worker")
        configure_tracing(self._settings.telemetry, process="worker")
        failpoints.arm(self._settings.failpoints)
        self._metrics = serve_metrics(
            self._settings.telemetry.metrics_host,
            self._settings.jobs.worker_metrics_port,
            probes=self._pulse.probes(),
        )
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        settle_heap()
        log.info("worker.started", worker=self.worker_id, queues=self._queues, metrics_port=self._metrics.port)

    def run_blocking(self, queue: str, tenant_id: TenantId, job_id: UUID) -> None:
        """This will run one job on the loop and return when it is over; called on a pool thread.

        While the others' places are kept from the job's queue, it returns at once and the job waits on the loop: a thread that
        waited with it would be missing to them.
        """
        if self._draining.is_set():
            # Acknowledged, but not begun: the row is still published, so another worker's poll takes it.
            return
        future = asyncio.run_coroutine_threadsafe(self._run_tracked(queue, tenant_id, job_id), self._loop)
        try:
            future.result()
        except FutureCancelled:
            log.info("job.handed_back", job_id=str(job_id))

    def begin_drain(self) -> None:
        """This will stop taking jobs and, after the drain time, hand back those that still run."""
        if not self._draining.is_set():
            self._draining.set()
            self._pulse.end()
            log.info("worker.draining", running=len(self._running), timeout_s=self._settings.jobs.drain_timeout_s)
            self._loop.call_soon_threadsafe(
                self._loop.call_later, self._settings.jobs.drain_timeout_s, self._cancel_running
            )

    def stop(self) -> None:
        """This will close pools and the loop; called when the pool's threads are done."""
        self.begin_drain()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if self._metrics is not None:
            self._metrics.close()
        shutdown_tracing()
        log.info("worker.stopped", worker=self.worker_id)

    async def _open(self) -> None:
        self._resources: Resources = build_resources(self._settings)
        self._database = self._resources.get(Database)
        await assert_safe_roles(self._database)
        self._runner = JobRunner(
            database=self._database,
            resources=self._resources,
            registry=load_handlers(),
            settings=self._settings.jobs,
            worker_id=self.worker_id,
            rng=random.Random(),  # noqa: S311 - jitter, not a secret
        )
        self._tasks = [asyncio.create_task(self._poll_for_ever()), asyncio.create_task(self._keep_open())]

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._cancel_running()
        await asyncio.gather(*self._tasks, *self._running, return_exceptions=True)
        await close_resources(self._resources)

    def _cancel_running(self) -> None:
        for task in list(self._running):
            task.cancel()

    async def _run_tracked(self, queue: str, tenant_id: TenantId, job_id: UUID) -> None:
        task = self._begin(queue, tenant_id, job_id)
        if job_id not in self._put_off:
            await task

    def _begin(self, queue: str, tenant_id: TenantId, job_id: UUID) -> asyncio.Task[object]:
        has_slot = self._slots.take_now(queue)
        if not has_slot:
            self._put_off.add(job_id)
        task = self._loop.create_task(self._run_in_slot(queue, tenant_id, job_id, has_slot=has_slot))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _run_in_slot(self, queue: str, tenant_id: TenantId, job_id: UUID, *, has_slot: bool) -> object:
        if not has_slot:
            try:
                await self._slots.take(queue)
            finally:
                self._put_off.discard(job_id)
        try:
            # Put off until the worker stops: the row is still published, so another worker's poll takes it.
            return None if self._draining.is_set() and not has_slot else await self._run_guarded(tenant_id, job_id)
        finally:
            self._slots.give(queue)

    async def _run_guarded(self, tenant_id: TenantId, job_id: UUID) -> object:
        try:
            return await self._runner.run(tenant_id, job_id)
        except Exception as error:  # noqa: BLE001 - outermost frame: the database is away, the sweep repairs
            log.warning("job.not_run", job_id=str(job_id), error=repr(error)[:1000])
            return None

    async def _poll_for_ever(self) -> None:
        while not self._draining.is_set():
            try:
                await self._poll_once()
                self._pulse.beat()
                LAST_POLL.set_to_current_time()
            except Exception as error:  # noqa: BLE001 - outermost frame: polled again in a moment
                log.warning("worker.poll_failed", error=repr(error)[:1000])
            await asyncio.sleep(POLL_S)

    async def _keep_open(self) -> None:
        """Have connections ready for the first moment of a storm, although the pool replaces them when they are old."""
        wait_s = SETTLE_S  # a start has enough to do
        while True:
            await asyncio.sleep(wait_s)
            if self._running:
                wait_s = POLL_S  # all connections at once would be missed by those who work
                continue
            wait_s = self._settings.database.pool_recycle_s
            try:
                await self._database.open()
            except Exception as error:  # noqa: BLE001 - they are opened when they are needed, later and slower
                log.warning("worker.connections_not_opened", error=repr(error)[:500])

    async def _poll_once(self) -> None:
        free = {queue: self._slots.free(queue) for queue in self._queues}
        async with system_session(self._database, reason="worker.poll") as session:
            await session.execute(
                text("select tocsin_private.report_worker(:id, :queues, :kinds, :running)"),
                {
                    "id": self.worker_id,
                    "queues": self._queues,
                    "kinds": sorted(load_handlers().kinds()),
                    "running": self._slots.running,
                },
            )
            older = timedelta(seconds=self._settings.jobs.poll_fallback_s)
            found = await session.execute(_POLL, {"queues": list(free), "free": list(free.values()), "older": older})
            waiting = found.all()
        for queue, tenant_id, job_id in waiting:
            if self._slots.free(queue):
                # Not waited for: the poll is the worker's sign of life, however long these jobs take.
                self._begin(queue, TenantId(tenant_id), job_id)
