"""Sending job ids through Celery's broker."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

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
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )
