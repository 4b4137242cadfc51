"""The baseline dashboard: whether Tocsin is worth having, over days rather than minutes (E17, E20)."""

from __future__ import annotations

from app.observability.generate.grafana import Dashboard, Limits, Panel, Query, Row, Unit, counts, quantiles, stat

_OUTCOMES = "tocsin_enhancement_outcomes_total"
_PUBLISHED = (f'{_OUTCOMES}{{outcome="published"}}', f'{_OUTCOMES}{{outcome=~"published|failed"}}')
_STARS = ("tocsin_enhancement_rating_stars_sum", "tocsin_enhancement_rating_stars_count")
_LIKED = ('tocsin_enhancement_feedback_total{sentiment="positive"}', "tocsin_enhancement_feedback_total")
_ENDED = "recovered|not_recovered|unverified|expired|unknown_effect"
_HELPED = (
    'tocsin_run_ended_total{outcome="recovered",mode!="dry_run"}',
    f'tocsin_run_ended_total{{outcome=~"{_ENDED}",mode!="dry_run"}}',
)


def _ratio(counters: tuple[str, str], *, over: str) -> str:
    """This will return how often the first counter moved for each time that the second did."""
    part, whole = (f"sum(increase({counter}[{over}]))" for counter in counters)
    return f"{part} / {whole}"


GLANCE = Row(
    "The last day",
    [
        stat(
            "Rating",
            "Average stars that technicians gave to notes. Target: over 4 of 5. Red flag: under 3 for an hour.",
            _ratio(_STARS, over="1d"),
            unit=Unit.STARS,
            limits=Limits(4, 3, True),
        ),
        stat(
            "Liked",
            "Share of the feedback that is positive. Target: over 70 %.",
            _ratio(_LIKED, over="1d"),
            unit=Unit.SHARE,
            limits=Limits(0.7, 0.5, True),
        ),
        stat(
            "Tickets with a note",
            "Share of the tickets that got their note. Target: over 95 %. Red flag: under 90 %.",
            _ratio(_PUBLISHED, over="1d"),
            unit=Unit.SHARE,
            limits=Limits(0.95, 0.9, True),
        ),
        stat(
            "Note after",
            "From the ticket's webhook to the published note, the worst twentieth. Target: under 60 s.",
            "histogram_quantile(0.95, sum by (le) (rate(tocsin_enhancement_duration_seconds_bucket[1d])))",
            unit=Unit.SECONDS,
            limits=Limits(45, 60),
        ),
        stat(
            "Runbooks that helped",
            "Share of the runs that acted and were followed by proven recovery.",
            _ratio(_HELPED, over="1d"),
            unit=Unit.SHARE,
            limits=Limits(0.8, 0.5, True),
        ),
        stat("Incidents", "Incidents that were opened.", "sum(increase(tocsin_incidents_opened_total[1d]))"),
    ],
)

NOTES = Row(
    "Notes on tickets",
    [
        Panel(
            title="Average rating",
            about="Target: over 4 of 5. Red flag: under 3 for an hour.",
            queries=[Query(_ratio(_STARS, over="6h"), "stars")],
            unit=Unit.STARS,
            limits=Limits(4, 3, True),
        ),
        Panel(
            title="Sentiment",
            about="Feedback of six hours, by sentiment. Target: more than 70 % positive.",
            queries=counts("tocsin_enhancement_feedback_total", by="sentiment", over="6h"),
            stacked=True,
        ),
        Panel(
            title="Success rate",
            about="Target: over 95 %. Red flag: under 90 %.",
            queries=[Query(_ratio(_PUBLISHED, over="1h"), "notes")],
            unit=Unit.SHARE,
            limits=Limits(0.95, 0.9, True),
        ),
        Panel(
            title="From ticket to note",
            about="Target: p95 under 60 s.",
            queries=quantiles("tocsin_enhancement_duration_seconds"),
            unit=Unit.SECONDS,
            limits=Limits(45, 60),
        ),
        Panel(
            title="Throughput",
            about="Tickets an hour by what became of them. A sudden drop is a red flag.",
            queries=counts("tocsin_enhancement_outcomes_total", by="outcome"),
            stacked=True,
        ),
        Panel(
            title="Why not",
            about="Tickets an hour that got no note, by reason.",
            queries=counts("tocsin_enhancement_outcomes_total", by="reason", matchers='outcome!="published"'),
            stacked=True,
        ),
        Panel(
            title="Where the time goes",
            about="Seconds by stage of the pipeline, the worst twentieth.",
            queries=quantiles("tocsin_enhancement_stage_seconds", by="stage", shares=[0.95]),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="What the validator said of the model's claims",
            about="Claims an hour; only those whose quote was found in the evidence are published.",
            queries=counts("tocsin_enhancement_claims_total", by="verdict"),
            stacked=True,
        ),
        Panel(
            title="Sources and model",
            about="Context sources and model calls an hour, by how they ended.",
            queries=[
                Query(
                    "sum by (source, outcome) (increase(tocsin_enhancement_sources_total[1h]))",
                    "{{source}} {{outcome}}",
                ),
                Query("sum by (outcome) (increase(tocsin_enhancement_model_calls_total[1h]))", "model {{outcome}}"),
            ],
        ),
    ],
)

INCIDENTS = Row(
    "Incidents and runbooks",
    [
        Panel(
            title="Incidents opened",
            about="By severity, an hour.",
            queries=counts("tocsin_incidents_opened_total", by="severity"),
            stacked=True,
        ),
        Panel(
            title="Incidents resolved",
            about="By who resolved them, an hour: people, runbooks, or the alerts' own end.",
            queries=counts("tocsin_incidents_resolved_total", by="actor_kind"),
            stacked=True,
        ),
        Panel(
            title="Runs by outcome",
            about="Runbook runs that ended, an hour, without rehearsals.",
            queries=counts("tocsin_run_ended_total", by="outcome", matchers='mode!="dry_run"'),
            stacked=True,
        ),
        Panel(
            title="How long a run takes",
            about="From start to end, waits for people included.",
            queries=quantiles("tocsin_run_duration_seconds"),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Alert events",
            about="What became of the alerts that came in, an hour: new, the same again, resolved, too old.",
            queries=counts("tocsin_alert_events_total", by="outcome"),
            stacked=True,
        ),
        Panel(
            title="Error budget burnt",
            about="How fast the budgets of the two objectives burn over a day; 1 uses them up in exactly 30 days.",
            queries=[
                Query("tocsin:event_to_effect_late:ratio_rate1d / 0.01", "event to effect"),
                Query("tocsin:requests_failed:ratio_rate1d / 0.001", "requests"),
            ],
            limits=Limits(1, 3),
        ),
    ],
)

BASELINE = Dashboard(
    uid="tocsin-baseline",
    title="Tocsin baseline",
    about="Whether Tocsin is worth having, over days rather than minutes. Each panel names its target.",
    rows=[GLANCE, NOTES, INCIDENTS],
)
