"""The operations dashboard: what runs now, what waits, who is turned away (E17, C15)."""

from __future__ import annotations

from app.observability.generate.grafana import (
    Dashboard,
    Limits,
    Panel,
    Query,
    Row,
    Unit,
    counts,
    quantiles,
    rates,
    stat,
)

_ERRORS = (
    'sum(rate(tocsin_http_requests_total{status=~"5.."}[$__rate_interval]))'
    " / sum(rate(tocsin_http_requests_total[$__rate_interval]))"
)

GLANCE = Row(
    "At a glance",
    [
        stat("API processes", "Those that can be scraped.", 'sum(up{job="tocsin-api"})', limits=Limits(2, 1, True)),
        stat(
            "Workers that poll",
            "Workers whose last poll of PostgreSQL is younger than a minute.",
            "count(time() - tocsin_worker_last_poll_timestamp_seconds < 60) or vector(0)",
            limits=Limits(2, 1, True),
        ),
        stat(
            "Oldest due job",
            "How long the oldest due job has waited. More than a minute calls a person.",
            "max(tocsin_jobs_oldest_due_seconds)",
            unit=Unit.SECONDS,
            limits=Limits(5, 60),
        ),
        stat(
            "Dead letters",
            "Jobs that failed for good and wait for a person.",
            "sum(max by (queue) (tocsin_jobs_dead))",
            limits=Limits(1, 10),
        ),
        stat(
            "Isolation",
            "Relations and rights that break the isolation of tenants. Anything but 0 is a security incident.",
            "sum(max by (question) (tocsin_rls_unprotected_relations))",
            limits=Limits(1, 1),
        ),
        stat(
            "Late events",
            "Share of the last hour's deliveries that took more than 5 s to become incidents. The budget is 1 %.",
            "tocsin:event_to_effect_late:ratio_rate1h",
            unit=Unit.SHARE,
            limits=Limits(0.01, 0.06),
        ),
    ],
)

APPLICATION = Row(
    "Application",
    [
        Panel(
            title="API latency",
            about="Target: p95 under 1 s. Red flag: p95 over 5 s.",
            queries=quantiles("tocsin_http_request_duration_seconds"),
            unit=Unit.SECONDS,
            limits=Limits(1, 5),
        ),
        Panel(
            title="Error rate",
            about="Share of the API's answers that are errors of the server. Target: under 1 %. Red flag: over 5 %.",
            queries=[Query(_ERRORS, "errors")],
            unit=Unit.SHARE,
            limits=Limits(0.01, 0.05),
        ),
        Panel(
            title="Requests by status",
            about="Answers of the API a second.",
            queries=rates("tocsin_http_requests_total", by="status"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Event to effect",
            about="From a delivery's receipt to its incident. Objective: 99 % within 5 s.",
            queries=quantiles("tocsin_event_to_effect_seconds"),
            unit=Unit.SECONDS,
            limits=Limits(1, 5),
        ),
        Panel(
            title="Webhooks by answer",
            about="Requests to the intake a second, by what they were answered. Overloaded ones were asked to come back.",
            queries=rates("tocsin_ingest_requests_total", by="outcome"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Intake",
            about="How long a webhook waits for its answer, and a group commit for the disk; the worst hundredth.",
            queries=[
                *quantiles("tocsin_ingest_request_seconds", shares=[0.99]),
                Query(
                    "histogram_quantile(0.99, sum by (le) (rate(tocsin_ingest_commit_seconds_bucket[$__rate_interval])))",
                    "commit p99",
                ),
            ],
            unit=Unit.SECONDS,
        ),
    ],
)

QUEUES = Row(
    "Queues and workers",
    [
        Panel(
            title="Queue depth",
            about="Jobs that wait, by queue: due, or handed out and not begun. Target: under 20. Red flag: over 100.",
            queries=[Query("max by (queue) (tocsin_jobs_due + tocsin_jobs_published)", "{{queue}}")],
            limits=Limits(20, 100),
        ),
        Panel(
            title="Age of the oldest due job",
            about="By queue; a queue that is worked off stays near 0.",
            queries=[Query("max by (queue) (tocsin_jobs_oldest_due_seconds)", "{{queue}}")],
            unit=Unit.SECONDS,
            limits=Limits(5, 60),
        ),
        Panel(
            title="Wait from due to start",
            about="The worst twentieth, by queue.",
            queries=quantiles("tocsin_job_wait_seconds", by="queue", shares=[0.95]),
            unit=Unit.SECONDS,
            limits=Limits(1, 10),
        ),
        Panel(
            title="Jobs by outcome",
            about="Runs of jobs that ended, a second. Retried ones come again; dead and failed ones need a person.",
            queries=rates("tocsin_jobs_finished_total", by="outcome"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Worker health",
            about="Seconds since each worker's last completed poll. A worker that does not poll is lost.",
            queries=[Query("time() - tocsin_worker_last_poll_timestamp_seconds", "{{instance}}")],
            unit=Unit.SECONDS,
            limits=Limits(10, 60),
        ),
        Panel(
            title="Crashes",
            about="Starts of each worker in a quarter of an hour, and jobs whose lease ran out because theirs was lost.",
            queries=[
                Query('changes(process_start_time_seconds{job="tocsin-worker"}[15m])', "{{instance}} started"),
                Query('sum(increase(tocsin_relay_swept_total{outcome=~"expired_.+"}[15m]))', "leases run out"),
            ],
            limits=Limits(1, 3),
        ),
    ],
)

SYSTEM = Row(
    "System",
    [
        Panel(
            title="Database connections",
            about="Share of PostgreSQL's connections that are used, by all its clients. Target: under 80 %. Red flag: 90 %.",
            queries=[Query("max(tocsin_postgres_connections / tocsin_postgres_connections_limit)", "server")],
            unit=Unit.SHARE,
            limits=Limits(0.8, 0.9),
        ),
        Panel(
            title="Connection pools",
            about="Share of its pool that each process has lent out.",
            queries=[Query("tocsin_db_pool_in_use / tocsin_db_pool_limit", "{{instance}} {{role}}")],
            unit=Unit.SHARE,
            limits=Limits(0.8, 0.9),
        ),
        Panel(
            title="No connection",
            about="Transactions a second that got no connection or lost theirs.",
            queries=rates("tocsin_db_unavailable_total", by="role"),
            unit=Unit.PER_SECOND,
            limits=Limits(0.01, 0.1),
        ),
        Panel(
            title="Memory",
            about="Resident memory by process.",
            queries=[Query('process_resident_memory_bytes{job=~"tocsin-.+"}', "{{job}} {{instance}}")],
            unit=Unit.BYTES,
        ),
        Panel(
            title="Processor time",
            about="Processors that each process keeps busy; a process of Python's uses little more than one.",
            queries=[
                Query('rate(process_cpu_seconds_total{job=~"tocsin-.+"}[$__rate_interval])', "{{job}} {{instance}}")
            ],
            limits=Limits(0.7, 0.9),
        ),
        Panel(
            title="Open files",
            about="Share of its file descriptors that each process has open.",
            queries=[Query('process_open_fds{job=~"tocsin-.+"} / process_max_fds{job=~"tocsin-.+"}', "{{instance}}")],
            unit=Unit.SHARE,
            limits=Limits(0.7, 0.8),
        ),
    ],
)

OUTSIDE = Row(
    "Other systems",
    [
        Panel(
            title="Calls to other systems",
            about="Outgoing HTTP calls a second, by outcome.",
            queries=rates("tocsin_outbound_requests_total", by="outcome"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="How long they take",
            about="Duration of outgoing calls, whatever became of them.",
            queries=quantiles("tocsin_outbound_seconds"),
            unit=Unit.SECONDS,
            limits=Limits(1, 5),
        ),
        Panel(
            title="Runbooks",
            about="Runs that ended in the last hour, by outcome. All but recovered and no action needed call a person.",
            queries=counts("tocsin_run_ended_total", by="outcome", matchers='mode!="dry_run"'),
            stacked=True,
        ),
    ],
)

SECURITY = Row(
    "Security events",
    [
        Panel(
            title="Webhooks that prove nothing",
            about="Refused requests a second, by reason: a wrong secret, a clock that is off, an unknown source.",
            queries=rates("tocsin_ingest_refused_total", by="reason"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Tokens refused",
            about="Requests to the API a second without a valid token (401), or without the right (403).",
            queries=rates("tocsin_http_requests_total", by="status", matchers='status=~"401|403"'),
            unit=Unit.PER_SECOND,
            limits=Limits(0.5, 1),
        ),
        Panel(
            title="Isolation of tenants",
            about="What the relay found wrong in the live database, by question. Target: nothing, ever.",
            queries=[Query("max by (question) (tocsin_rls_unprotected_relations)", "{{question}}")],
            limits=Limits(1, 1),
        ),
    ],
)

OPERATIONS = Dashboard(
    uid="tocsin-operations",
    title="Tocsin operations",
    about="What runs now, what waits, and who is turned away. Each panel names its target and its red flag.",
    rows=[GLANCE, APPLICATION, QUEUES, SYSTEM, OUTSIDE, SECURITY],
)
