"""Celery as a wire: it carries ``(tenant, job id)`` and nothing else. The table decides what happens.

Acknowledged early: the relay's sweep repairs a lost message and the claim kills a duplicate, so late
acknowledgement would only add redeliveries (its visibility time-out hands a long job to a second worker). No ETA,
no Celery retry, no result backend: timers, attempts and outcomes are columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery
from kombu import Exchange
from kombu import Queue as BrokerQueue

from app.settings import Settings
from workers.queues import ALL_QUEUES, EXCHANGE, broker_queue


def make_celery(settings: Settings, *, answer_timeout_s: float = 30.0) -> Celery:
    """This will return the Celery application for a relay or a worker.

    Args:
        settings: Where the broker is.
        answer_timeout_s: Seconds to wait for an answer. A worker waits for messages; a relay must not wait for a broker
            that hangs, because nothing else is published meanwhile.
    """
    prefix = settings.redis.key_prefix
    app = Celery("tocsin", broker=settings.redis.url.get_secret_value(), set_as_current=False)
    exchange = Exchange(f"{prefix}.{EXCHANGE}", type="direct")
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        task_create_missing_queues=False,
        task_queues=[BrokerQueue(broker_queue(name, prefix=prefix), exchange, routing_key=name) for name in ALL_QUEUES],
        task_default_queue=broker_queue(ALL_QUEUES[0], prefix=prefix),
        task_default_exchange=exchange.name,
        task_default_routing_key=ALL_QUEUES[0],
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": answer_timeout_s,
            "socket_connect_timeout": settings.redis.timeout_s,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": f"{prefix}:",
            # The table repairs a lost message, so the broker need not keep a second copy of each until it is acknowledged.
            "ack_emulation": False,
        },
        timezone="UTC",
        enable_utc=True,
    )
    return app


def run_worker(app: Celery, *, pool: str, concurrency: int, queues: Sequence[str]) -> None:
    """This will run a worker in this process until it is told to stop, then exit with its status.

    Gossip, mingle and heartbeats are off: workers need not know of each other, the table does.
    """
    worker = app.Worker(
        pool=pool,
        concurrency=concurrency,
        queues=list(queues),
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    raise SystemExit(worker.exitcode)
