"""``python -m workers.main``: a Celery worker on a thread pool around one event loop."""

from __future__ import annotations

import argparse
import sys

from app.settings import Settings
from app.settings.production import Process, refuse_weak_settings
from workers.bindings import bind
from workers.celery_app import make_celery, run_worker
from workers.queues import ALL_QUEUES, broker_queue
from workers.runtime import WorkerRuntime


def main(arguments: list[str] | None = None) -> None:
    """This will run a worker until SIGTERM, then drain it."""
    parser = argparse.ArgumentParser(prog="tocsin-worker", description="Run jobs from the given queues.")
    parser.add_argument("--queues", default=",".join(ALL_QUEUES), help="comma-separated; default: all (%(default)s)")
    parser.add_argument(
        "--concurrency", type=int, default=0, help="jobs at once; default: TOCSIN_JOBS__WORKER_CONCURRENCY"
    )
    options = parser.parse_args(arguments)
    queues = [queue.strip() for queue in options.queues.split(",") if queue.strip()]
    unknown = sorted(set(queues) - set(ALL_QUEUES))
    if unknown or not queues:
        parser.error(f"unknown queue {', '.join(unknown) or '(none given)'}; choose from {', '.join(ALL_QUEUES)}")
    settings = Settings()
    refuse_weak_settings(settings, process=Process.WORKER)
    concurrency = options.concurrency or settings.jobs.worker_concurrency
    app = make_celery(settings)
    bind(app, WorkerRuntime(settings, queues=queues, concurrency=concurrency))
    names = [broker_queue(queue, prefix=settings.redis.key_prefix) for queue in queues]
    run_worker(app, pool="threads", concurrency=concurrency, queues=names)


if __name__ == "__main__":
    main(sys.argv[1:])
