"""Sending job ids through Celery's broker."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from app.core.jobs import BACKLOG_PRIORITY
from workers.queues import RUN_JOB, broker_queue
from workers.relay import PublishedJob

BATCH = 256


class CeleryPublisher:
    """Publishes ``(tenant, job id)`` on one pooled connection; fails fast, the relay's sweep tries again."""

    def __init__(self, app: Celery, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def publish(self, jobs: Sequence[PublishedJob]) -> None:
        """This will send one message per job, all in one round trip or few."""
        with self._app.producer_or_acquire() as producer, producer.batch(max_size=BATCH):
            for job in jobs:
                self._app.send_task(
                    RUN_JOB,
                    args=[str(job.tenant_id), str(job.id)],
                    queue=broker_queue(job.queue, prefix=self._prefix),
                    # 0 is taken first; a broker that knows no priorities, or a lost one, costs fairness and nothing else.
                    priority=6 if job.priority >= BACKLOG_PRIORITY else 0,
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )
