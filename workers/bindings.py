"""Celery's task and signals, bound to the process's runtime. The only module that Celery calls into."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, Task, signals

from app.core.ids import TenantId
from workers.queues import RUN_JOB
from workers.runtime import WorkerRuntime

log = structlog.get_logger(__name__)


def bind(app: Celery, runtime: WorkerRuntime) -> None:
    """This will register the one task and tie the runtime's life to the worker's."""
    # What is sent to a queue with a direct exchange carries the broker's name of the queue, prefix and all, as its routing key.
    ours = {queue.name: queue.routing_key for queue in app.conf.task_queues}

    @app.task(name=RUN_JOB, ignore_result=True, bind=True)
    def run_job(task: Task[Any, None], tenant_id: str, job_id: str) -> None:
        came = (task.request.delivery_info or {}).get("routing_key")
        runtime.run_blocking(ours[came], TenantId(UUID(tenant_id)), UUID(job_id))

    def start(**_: Any) -> None:
        try:
            runtime.start()
        except Exception as error:
            # Celery logs what a signal's handler raises and goes on: it would take messages and run none of them.
            log.critical("worker.not_started", error=str(error), error_type=type(error).__name__)
            raise SystemExit(1) from error

    def drain(**_: Any) -> None:
        runtime.begin_drain()

    def stop(**_: Any) -> None:
        runtime.stop()

    def keep_logging(**_: Any) -> None:
        """Celery sets up no logging where somebody answers; else it would lift the level of all our loggers to its own."""
        logging.getLogger("celery").setLevel(logging.WARNING)

    # weak=False: the closures have no other owner and would be collected at once.
    signals.setup_logging.connect(keep_logging, weak=False)
    signals.worker_init.connect(start, weak=False)
    signals.worker_shutting_down.connect(drain, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)
