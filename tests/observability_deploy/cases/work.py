"""queues.yaml and ingest.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, Series, flat, growing

PAUSED = {'tocsin_queue_paused{queue="enhancement"}': flat(1)}
RUNNING = {'tocsin_queue_paused{queue="enhancement"}': flat(0)}


def oldest(seconds: float) -> dict[str, str]:
    return {'tocsin_jobs_oldest_due_seconds{queue="enhancement"}': flat(seconds)}


def due(values: str) -> dict[str, str]:
    """So many wait in the table, and one is handed out but not begun."""
    return {
        'tocsin_jobs_due{queue="enhancement"}': values,
        'tocsin_jobs_published{queue="enhancement"}': flat(1),
    }


def finished(outcome: str, per_minute: float) -> dict[str, str]:
    return {f'tocsin_jobs_finished_total{{kind="enhancement.enhance_ticket",outcome="{outcome}"}}': growing(per_minute)}


QUEUES = [
    Case(
        alert="OldestDueJob",
        severity="p1",
        fires=oldest(90) | RUNNING,
        summary="A job of the queue enhancement has been due for 1m 30s",
        labels={"queue": "enhancement"},
        silent=[oldest(60) | RUNNING, oldest(600) | PAUSED],
    ),
    Case(
        alert="HighQueueDepth",
        severity="p2",
        fires=due(flat(50)) | RUNNING,
        summary="51 jobs of the queue enhancement wait",
        labels={"queue": "enhancement"},
        silent=[due(flat(49)) | RUNNING, due(flat(50)) | PAUSED, due("0+0x27 50+0x20")],
    ),
    Case(
        alert="HighQueueDepth",
        severity="p1",
        fires=due("0+0x20 200+0x20"),
        summary="201 jobs of the queue enhancement wait and it does not drain",
        labels={"queue": "enhancement"},
        silent=[due("0+0x20 199+0x20"), due("50+0x22 49+0x0 50+0x20"), due(flat(200)) | PAUSED],
    ),
    Case(
        alert="HighQueueDepth",
        severity="p1",
        world="not-draining",
        fires=due(flat(50)) | RUNNING,
        summary="51 jobs of the queue enhancement wait and it does not drain",
        labels={"queue": "enhancement"},
        silent=[due("50+0x22 49+0x0 50+0x20")],
    ),
    Case(
        alert="DeadLetters",
        severity="p2",
        fires={'tocsin_jobs_dead{queue="enhancement"}': flat(1)},
        summary="1 dead letters lie in the queue enhancement",
        labels={"queue": "enhancement"},
        silent=[{'tocsin_jobs_dead{queue="enhancement"}': flat(0)}],
    ),
    Case(
        alert="JobsDying",
        severity="p1",
        fires=finished("dead", 2) | finished("failed", 2),
        summary="40 jobs of the kind enhancement.enhance_ticket died in 10 minutes",
        labels={"kind": "enhancement.enhance_ticket"},
        silent=[finished("dead", 1), finished("retried", 60)],
    ),
    Case(
        alert="QueuePaused",
        severity="p3",
        fires=PAUSED,
        at="61m",
        summary="The queue enhancement has been paused for an hour",
        labels={"queue": "enhancement"},
        silent=[RUNNING, {'tocsin_queue_paused{queue="enhancement"}': "1+0x40 0+0x4 1+0x40"}],
    ),
    Case(
        alert="BrokerUnreachable",
        severity="p2",
        fires={"tocsin_relay_publish_failures_total": growing(1)},
        summary="The relay cannot hand jobs to the broker",
        silent=[{"tocsin_relay_publish_failures_total": flat(3)}],
    ),
]


def refused(reason: str, per_minute: float, of: float) -> dict[str, str]:
    return {
        f'tocsin_ingest_refused_total{{reason="{reason}"}}': growing(per_minute),
        'tocsin_ingest_requests_total{outcome="accepted"}': growing(of - per_minute),
        'tocsin_ingest_requests_total{outcome="unauthenticated"}': growing(per_minute),
    }


def overloaded(per_minute: float, of: float) -> dict[str, str]:
    return {
        'tocsin_ingest_requests_total{outcome="overloaded"}': growing(per_minute),
        'tocsin_ingest_requests_total{outcome="accepted"}': growing(of - per_minute),
    }


def noticed(*, in_time: float, of: float) -> Series:
    """Missed heartbeats each minute, and how many of them had their alert within five seconds."""
    name = "tocsin_heartbeat_notice_seconds"
    return {f'{name}_bucket{{le="5.0"}}': growing(in_time), f"{name}_count": growing(of)}


INGEST = [
    Case(
        alert="IngestRefusals",
        severity="p2",
        fires=refused("mismatch", 3, of=30),
        summary="10% of the webhooks are refused: mismatch",
        labels={"reason": "mismatch"},
        silent=[
            refused("mismatch", 3, of=60),
            refused("unknown_source", 30, of=60),
            refused("challenged", 30, of=60),
            refused("mismatch", 0.5, of=1),
        ],
    ),
    Case(
        alert="UnknownSourceProbing",
        severity="p2",
        fires={'tocsin_ingest_refused_total{reason="unknown_source"}': growing(600)},
        summary="10 requests a second name sources that do not exist",
        silent=[{'tocsin_ingest_refused_total{reason="unknown_source"}': growing(300)}],
    ),
    Case(
        alert="IngestOverloaded",
        severity="p1",
        fires=overloaded(3, of=60),
        summary="5% of the webhooks are sent away with 503",
        silent=[overloaded(1, of=100)],
    ),
    Case(
        alert="IngestCommitsFail",
        severity="p1",
        fires={"tocsin_ingest_commit_failures_total": growing(1)},
        summary="Deliveries cannot be committed",
        silent=[{"tocsin_ingest_commit_failures_total": flat(3)}],
    ),
    Case(
        alert="HeartbeatsNoticedLate",
        severity="p2",
        fires=noticed(in_time=8, of=10),
        summary="Missed heartbeats are noticed more than 5 seconds late",
        silent=[noticed(in_time=10, of=10), noticed(in_time=19, of=20)],
    ),
    Case(
        alert="DeliveriesNotUnderstood",
        severity="p2",
        fires={'tocsin_ingest_deliveries_total{state="rejected"}': growing(1)},
        summary="15 deliveries ended rejected in 15 minutes",
        labels={"state": "rejected"},
        silent=[
            {'tocsin_ingest_deliveries_total{state="processed"}': growing(600)},
            {'tocsin_ingest_deliveries_total{state="rejected"}': growing(0.5)},
        ],
    ),
]

CASES = [*QUEUES, *INGEST]
