"""product.yaml and notifications.yaml."""

from __future__ import annotations

from tests.observability_deploy.case import Case, flat, growing


def notes(published: float, failed: float, refused: float = 0) -> dict[str, str]:
    name = "tocsin_enhancement_outcomes_total"
    return {
        f'{name}{{outcome="published",reason=""}}': growing(published),
        f'{name}{{outcome="failed",reason="desk_unavailable"}}': growing(failed),
        f'{name}{{outcome="refused",reason="ticket_closed"}}': growing(refused),
    }


def runs(not_recovered: float, recovered: float, mode: str = "auto") -> dict[str, str]:
    name = "tocsin_run_ended_total"
    return {
        f'{name}{{outcome="not_recovered",mode="{mode}"}}': growing(not_recovered),
        f'{name}{{outcome="recovered",mode="{mode}"}}': growing(recovered),
    }


def calls(failed: float, fine: float) -> dict[str, str]:
    name = "tocsin_outbound_requests_total"
    return {
        f'{name}{{method="GET",outcome="timeout"}}': growing(failed),
        f'{name}{{method="GET",outcome="2xx"}}': growing(fine),
    }


def stars(total: float, ratings: float) -> dict[str, str]:
    name = "tocsin_enhancement_rating_stars"
    return {f"{name}_sum": growing(total, 600), f"{name}_count": growing(ratings, 600)}


def taking(*, above_s: str, within_s: str) -> dict[str, str]:
    name = 'tocsin_enhancement_duration_seconds_bucket{method="extractive",le="%s"}'
    return {name % above_s: growing(0), name % within_s: growing(6), name % "+Inf": growing(6)}


def notified(*, dropped: str) -> dict[str, str]:
    """Prometheus knows an Alertmanager."""
    return {
        "prometheus_notifications_alertmanagers_discovered": flat(1),
        "prometheus_notifications_dropped_total": dropped,
    }


CASES = [
    Case(
        alert="LowSuccessRate",
        severity="p2",
        fires=notes(0.93, 0.07, refused=50),
        at="60m",
        summary="Only 93% of the tickets got their note",
        silent=[notes(96, 4), notes(96, 4, refused=100), notes(0.1, 0.1)],
    ),
    Case(
        alert="LowSuccessRate",
        severity="p1",
        fires=notes(0.8, 0.2),
        at="60m",
        summary="Only 80% of the tickets got their note",
        silent=[notes(93, 7), {}],
    ),
    Case(
        alert="EnhancementsSlow",
        severity="p2",
        fires=taking(above_s="60.0", within_s="90.0"),
        summary="One note in twenty takes longer than 1m 28s",
        silent=[taking(above_s="30.0", within_s="60.0")],
    ),
    Case(
        alert="LowRating",
        severity="p2",
        fires=stars(0.04, 0.02),
        at="8h",
        summary="Technicians rate the notes 2 of 5",
        silent=[stars(1, 0.25), stars(0.02, 0.01)],
    ),
    Case(
        alert="RunbooksDoNotHelp",
        severity="p2",
        fires=runs(0.1, 0.05),
        at="90m",
        summary="6 runs of runbooks ended without proven recovery in an hour",
        silent=[runs(0.1, 0.2), runs(0.02, 0), runs(5, 0, mode="dry_run")],
    ),
    Case(
        alert="OutboundCallsFail",
        severity="p2",
        fires=calls(3, 3),
        summary="50% of Tocsin's calls to other systems fail",
        silent=[calls(10, 90), calls(0.5, 0)],
    ),
    Case(
        alert="NotificationFailures",
        severity="p1",
        fires={'alertmanager_notifications_failed_total{integration="webhook",reason="serverError"}': growing(0.1)},
        summary="Alertmanager fails to deliver through webhook",
        labels={"integration": "webhook"},
        silent=[{'alertmanager_notifications_failed_total{integration="webhook",reason="serverError"}': flat(4)}],
    ),
    Case(
        alert="AlertmanagerUnreachable",
        severity="p1",
        fires={"prometheus_notifications_alertmanagers_discovered": flat(0)},
        summary="Prometheus does not get rid of its alerts",
        silent=[notified(dropped=flat(0))],
    ),
    Case(
        alert="AlertmanagerUnreachable",
        severity="p1",
        world="dropping",
        fires=notified(dropped=growing(0.1)),
        summary="Prometheus does not get rid of its alerts",
        silent=[notified(dropped=flat(3))],
    ),
]
