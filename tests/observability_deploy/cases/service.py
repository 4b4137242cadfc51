"""availability.yaml, api.yaml, isolation.yaml and database.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, flat, growing

API = 'up{job="tocsin-api",instance="api-1:9101"}'
RELAY = 'up{job="tocsin-relay",instance="relay-1:9102"}'
WORKER = 'up{job="tocsin-worker",instance="worker-1:9103"}'
POLL = 'tocsin_worker_last_poll_timestamp_seconds{job="tocsin-worker",instance="worker-1:9103"}'
OTHER_POLL = 'tocsin_worker_last_poll_timestamp_seconds{job="tocsin-worker",instance="worker-2:9103"}'
BORN = 'process_start_time_seconds{job="tocsin-worker",instance="worker-1:9103"}'
OPEN = 'process_open_fds{job="tocsin-api",instance="api-1:9101"}'
MOST = 'process_max_fds{job="tocsin-api",instance="api-1:9101"}'
# Time starts at 0, so a worker that polls shows the time itself.
POLLING = growing(60)

AVAILABILITY = [
    Case(
        alert="TocsinApiDown",
        severity="p0",
        fires={API: flat(0)},
        summary="No API process answers",
        silent=[{API: flat(0), API.replace("1:", "2:"): flat(1)}],
    ),
    Case(
        alert="TocsinRelayDown",
        severity="p0",
        fires={API: flat(1)},
        summary="No relay answers",
        silent=[{RELAY: flat(1)}],
    ),
    Case(
        alert="NoWorkerPolls",
        severity="p0",
        fires={WORKER: flat(1), POLL: flat(0), OTHER_POLL: flat(60)},
        at="4m",
        summary="No worker has polled for a minute",
        silent=[{POLL: flat(0), OTHER_POLL: POLLING}],
    ),
    Case(
        alert="WorkerNotPolling",
        severity="p1",
        fires={POLL: flat(0), OTHER_POLL: POLLING},
        summary="Worker worker-1:9103 has not polled for 4m 0s",
        labels={"job": "tocsin-worker", "instance": "worker-1:9103"},
        at="4m",
        silent=[{POLL: POLLING}],
    ),
    Case(
        alert="WorkerFailures",
        severity="p1",
        fires={BORN: "0 60 120 180 240 240 240"},
        at="6m",
        summary="Worker worker-1:9103 started 4 times in 15 minutes",
        labels={"job": "tocsin-worker", "instance": "worker-1:9103"},
        silent=[{BORN: "0 60 120 180 180 180 180"}],
    ),
    Case(
        alert="LeasesRunOut",
        severity="p2",
        fires={
            'tocsin_relay_swept_total{outcome="expired_scheduled"}': growing(0.5),
            'tocsin_relay_swept_total{outcome="expired_dead"}': growing(0.5),
        },
        summary="15 jobs lost their worker in 15 minutes",
        silent=[{'tocsin_relay_swept_total{outcome="republished"}': growing(5)}],
    ),
    Case(
        alert="TocsinInstanceDown",
        severity="p2",
        fires={WORKER: flat(0), API: flat(1)},
        summary="tocsin-worker at worker-1:9103 cannot be scraped",
        labels={"job": "tocsin-worker", "instance": "worker-1:9103"},
        silent=[{'up{job="somebody-else",instance="x:1"}': flat(0)}, {WORKER: "1+0x27 0+0x20"}],
    ),
    Case(
        alert="FileDescriptorsRunOut",
        severity="p2",
        fires={OPEN: flat(900), MOST: flat(1000)},
        summary="tocsin-api at api-1:9101 has 90% of its file descriptors open",
        labels={"job": "tocsin-api", "instance": "api-1:9101"},
        silent=[{OPEN: flat(800), MOST: flat(1000)}],
    ),
    Case(
        alert="Watchdog",
        severity="none",
        fires={},
        summary="The way from Prometheus to Alertmanager works",
        silent=[],
    ),
]


def answers(failed: float, fine: float) -> dict[str, str]:
    return {
        'tocsin_http_requests_total{route="/v1/incidents",method="GET",status="500"}': growing(failed),
        'tocsin_http_requests_total{route="/v1/incidents",method="GET",status="200"}': growing(fine),
    }


def slow(*, above_s: str, within_s: str) -> dict[str, str]:
    """Every answer takes between the two bounds."""
    name = 'tocsin_http_request_duration_seconds_bucket{route="/v1/incidents",method="GET",le="%s"}'
    return {name % above_s: growing(0), name % within_s: growing(60), name % "+Inf": growing(60)}


API_CASES = [
    Case(
        alert="HighErrorRate",
        severity="p2",
        fires=answers(2, 98),
        summary="2% of the API's answers are errors of the server",
        silent=[answers(1, 99), {}],
    ),
    Case(
        alert="HighErrorRate",
        severity="p1",
        fires=answers(6, 94),
        summary="6% of the API's answers are errors of the server",
        silent=[answers(5, 95)],
    ),
    Case(
        alert="HighAPILatency",
        severity="p2",
        fires=slow(above_s="0.5", within_s="1.0"),
        summary="One request in twenty takes longer than 975ms",
        silent=[slow(above_s="0.25", within_s="0.5")],
    ),
    Case(
        alert="HighAPILatency",
        severity="p1",
        fires=slow(above_s="2.5", within_s="5.0"),
        summary="One request in twenty takes longer than 4.875s",
        silent=[slow(above_s="0.5", within_s="1.0")],
    ),
    Case(
        alert="RefusedLogins",
        severity="p2",
        fires={'tocsin_http_requests_total{route="/v1/incidents",method="GET",status="401"}': growing(120)},
        summary="2 requests a second come with no valid token",
        silent=[{'tocsin_http_requests_total{route="/v1/incidents",method="GET",status="401"}': growing(60)}],
    ),
]

UNPROTECTED = 'tocsin_rls_unprotected_relations{job="tocsin-relay",instance="relay-1:9102",question="unprotected"}'
EXAMINED = 'tocsin_rls_examined_timestamp_seconds{job="tocsin-relay",instance="relay-1:9102"}'
ISOLATION = [
    Case(
        alert="TenantIsolationViolation",
        severity="p0",
        fires={UNPROTECTED: flat(1), UNPROTECTED.replace("relay-1", "relay-2"): flat(1)},
        summary="1 relations or rights break tenant isolation: unprotected",
        labels={"question": "unprotected"},
        at="1m",
        silent=[{UNPROTECTED: flat(0)}],
    ),
    Case(
        alert="IsolationNotExamined",
        severity="p1",
        fires={EXAMINED: flat(0)},
        summary="Nobody has looked at the isolation of tenants for 20 minutes",
        silent=[{EXAMINED: flat(0), EXAMINED.replace("relay-1", "relay-2"): growing(60)}],
    ),
]

USED = 'tocsin_postgres_connections{job="tocsin-relay",instance="relay-1:9102"}'
ROOM = 'tocsin_postgres_connections_limit{job="tocsin-relay",instance="relay-1:9102"}'
LENT = 'tocsin_db_pool_in_use{job="tocsin-api",instance="api-1:9101",role="app"}'
POOL = 'tocsin_db_pool_limit{job="tocsin-api",instance="api-1:9101",role="app"}'
DATABASE = [
    Case(
        alert="DatabaseConnectionIssues",
        severity="p1",
        fires={'tocsin_db_unavailable_total{job="tocsin-api",role="app"}': growing(60)},
        summary="Transactions as app get no connection, 1 a second",
        labels={"role": "app"},
        silent=[{'tocsin_db_unavailable_total{job="tocsin-api",role="app"}': flat(7)}],
    ),
    Case(
        alert="PostgresTooManyConnections",
        severity="p2",
        fires={USED: flat(85), ROOM: flat(100)},
        summary="85% of PostgreSQL's connections are used",
        silent=[{USED: flat(80), ROOM: flat(100)}],
    ),
    Case(
        alert="PostgresTooManyConnections",
        severity="p1",
        fires={USED: flat(96), ROOM: flat(100)},
        summary="96% of PostgreSQL's connections are used",
        silent=[{USED: flat(95), ROOM: flat(100)}],
    ),
    Case(
        alert="ConnectionPoolFull",
        severity="p2",
        fires={LENT: flat(15), POOL: flat(15)},
        summary="api-1:9101 uses 100% of its app connections",
        labels={"job": "tocsin-api", "instance": "api-1:9101", "role": "app"},
        silent=[{LENT: flat(9), POOL: flat(10)}],
    ),
]

AHEAD, STRAYS = "tocsin_deliveries_partitions_ahead_seconds", "tocsin_deliveries_strays"
BACKUP = "tocsin_backup_last_success_timestamp_seconds"
DAY_S = 86_400

STORAGE = [
    Case(
        alert="PartitionsRunOut",
        severity="p2",
        fires={AHEAD: flat(DAY_S)},
        summary="Deliveries have partitions for 1d 0h 0m 0s only",
        silent=[
            {AHEAD: flat(2 * DAY_S)},
            {f'{AHEAD}{{instance="a"}}': flat(DAY_S), f'{AHEAD}{{instance="b"}}': flat(9 * DAY_S)},
        ],
    ),
    Case(
        alert="StrayDeliveries",
        severity="p3",
        fires={STRAYS: flat(3)},
        at="60m",
        summary="3 deliveries are outside every day's partition",
        silent=[{STRAYS: flat(0)}],
    ),
    Case(
        alert="BackupTooOld",
        severity="p2",
        fires={BACKUP: flat(0)},
        at="40h",
        step="1h",
        summary="No backup was reported for more than 36 hours",
        silent=[{BACKUP: flat(10 * 3600)}],
    ),
]

CASES = [*AVAILABILITY, *API_CASES, *ISOLATION, *DATABASE, *STORAGE]
