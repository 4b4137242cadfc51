"""The one task that travels through the broker, and its queues."""

from __future__ import annotations

from app.core.jobs import Queue

RUN_JOB = "tocsin.run_job"
ALL_QUEUES: tuple[str, ...] = tuple(queue.value for queue in Queue)
EXCHANGE = "tocsin"


def broker_queue(queue: str, *, prefix: str) -> str:
    """This will return the broker's name of a queue: deployments that share a Redis differ in the prefix."""
    return f"{prefix}.{queue}"
