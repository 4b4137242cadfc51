"""slo.yaml: error budgets, each burnt fast, burnt slowly, and hurt by a blip that is over."""

from __future__ import annotations

from tests.observability_deploy.case import Case, growing

IN_TIME = 'tocsin_event_to_effect_seconds_bucket{job="tocsin-worker",le="5.0"}'
ALL = 'tocsin_event_to_effect_seconds_count{job="tocsin-worker"}'
HOURS = 60
DAYS_IN_STEPS = 12 * 24  # steps of five minutes


def late(share: float, *, steps: int) -> dict[str, str]:
    return {IN_TIME: growing(1000 * (1 - share), steps), ALL: growing(1000, steps)}


def failing(share: float, *, steps: int) -> dict[str, str]:
    """Half of the failures are the API's, half are webhooks that were sent away."""
    api, intake = "tocsin_http_requests_total", "tocsin_ingest_requests_total"
    return {
        f'{api}{{route="/v1/alerts",method="GET",status="503"}}': growing(500 * share, steps),
        f'{api}{{route="/v1/alerts",method="GET",status="200"}}': growing(500 * (1 - share), steps),
        f'{intake}{{outcome="overloaded"}}': growing(500 * share, steps),
        f'{intake}{{outcome="accepted"}}': growing(500 * (1 - share), steps),
    }


CASES = [
    Case(
        alert="EventToEffectBudgetBurn",
        severity="p1",
        fires=late(0.5, steps=3 * HOURS),
        at="2h",
        summary="50% of the deliveries take more than 5 s to become incidents",
        silent=[
            late(0.05, steps=3 * HOURS),
            {},
            # Everything was late for half an hour and nothing has been since: the hour is bad, the last half of it is not.
            {IN_TIME: "0+1000x55 55000+0x29 56000+1000x60", ALL: growing(1000, 3 * HOURS)},
        ],
    ),
    Case(
        alert="EventToEffectBudgetBurn",
        severity="p2",
        fires=late(0.04, steps=2 * DAYS_IN_STEPS),
        at="30h",
        step="5m",
        summary="4% of the deliveries take more than 5 s to become incidents",
        silent=[late(0.005, steps=2 * DAYS_IN_STEPS)],
    ),
    Case(
        alert="RequestErrorBudgetBurn",
        severity="p1",
        fires=failing(0.1, steps=3 * HOURS),
        at="2h",
        summary="10% of the requests fail on our side",
        silent=[failing(0.002, steps=3 * HOURS), {}],
    ),
    Case(
        alert="RequestErrorBudgetBurn",
        severity="p2",
        fires=failing(0.004, steps=2 * DAYS_IN_STEPS),
        at="30h",
        step="5m",
        summary="0.4% of the requests fail on our side",
        silent=[failing(0.0005, steps=2 * DAYS_IN_STEPS)],
    ),
]
