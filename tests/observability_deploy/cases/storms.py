"""storms.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, flat, growing

ACTIVE = 'tocsin_storms_active{job="tocsin-relay",instance="relay-1:9102"}'
LIMITED = 'tocsin_ingest_limited_total{reason="%s"}'

CASES = [
    Case(
        alert="AlertStorm",
        severity="p2",
        fires={ACTIVE: flat(2), ACTIVE.replace("1:", "2:"): flat(2)},
        summary="2 alert storms go on",
        silent=[{ACTIVE: flat(0)}, {ACTIVE: "2 2 0+0x60"}],
    ),
    Case(
        alert="SendersOverLimit",
        severity="p2",
        fires={LIMITED % "rate_limited": growing(120), LIMITED % "backlog_full": growing(6)},
        summary="2 webhooks a second are sent away over a limit: rate_limited",
        labels={"reason": "rate_limited"},
        silent=[{LIMITED % "rate_limited": growing(30)}, {LIMITED % "backlog_full": flat(1000)}],
    ),
]
