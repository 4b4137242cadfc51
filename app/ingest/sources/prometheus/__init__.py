"""Prometheus itself, without an Alertmanager: what it posts to ``/api/v2/alerts``.

Source: Prometheus 3.5, ``notifier`` and ``rules/manager.go``, and the Alertmanager API v2 (``postableAlerts``), read
2026-11. The body is a list of alerts with ``labels``, ``annotations``, ``startsAt``, ``endsAt`` and ``generatorURL``.
There is no status. While an alert fires it is sent again every minute with an ``endsAt`` some minutes ahead (four times
the longer of the resend delay and the evaluation interval); once it is over it is sent for 15 minutes with the
``endsAt`` at which it ended. So every alert leaves here as firing until its ``ends_at``, and who applies it compares
that with the time of arrival, exactly as an Alertmanager does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, NoConfig, load_json
from app.ingest.rules import values
from app.ingest.rules.labelled_alerts import alerts_of, labelled_event

# Prometheus repeats a resolve, byte for byte, for this long; a firing differs each minute by its endsAt.
_REPLAY_WINDOW_S = 900
# Nobody says that an alert is over whose rule was deleted or whose Prometheus died. Rules are evaluated far more often
# than this, and each evaluation repeats what fires.
_RESOLVE_TIMEOUT_S = 1800


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return one event per alert, each firing until its ``ends_at``; a single alert may come without a list.

    Raises:
        ParseError: Neither a list nor an alert, or too many of them.
    """
    found = load_json(body)
    if isinstance(found, dict) and "labels" in found:
        found = [found]
    events = []
    for alert in alerts_of(found, what="the body"):
        warnings: list[str] = []
        valid_until = values.parse_time(alert.get("endsAt"))
        if valid_until is None and alert.get("endsAt"):
            warnings.append("endsAt was not understood: firing until said otherwise")
        event = labelled_event(
            alert,
            status=AlertStatus.FIRING,
            warnings=warnings,
            links=(("Query", alert.get("generatorURL")),),
        )
        events.append(replace(event, ends_at=valid_until))
    return events


SOURCE = AlertSource(
    slug="prometheus",
    title="Prometheus (without Alertmanager)",
    profile="bearer",  # alertmanager_config takes authorization and basic_auth; it cannot sign
    parse=parse,
    replay_window_s=_REPLAY_WINDOW_S,
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    max_body_bytes=10_485_760,
    document="https://prometheus.io/docs/prometheus/latest/configuration/configuration/#alertmanager_config",
    document_date="2026-11",
    setup="In prometheus.yml, under alerting.alertmanagers: the host as a target of static_configs, scheme https, the "
    "source's path (/in/...) as path_prefix, the secret as authorization.credentials_file. Prometheus adds "
    "/api/v2/alerts by itself.",
    example={
        "labels": {"alertname": "TocsinTest", "severity": "info", "instance": "test-1"},
        "annotations": {"summary": "A first alert, straight from Prometheus"},
        "startsAt": "2026-01-05T12:00:00Z",
        "endsAt": "2199-01-01T00:00:00Z",  # what Prometheus always sends; a time that is over would end the alert
        "generatorURL": "http://prometheus.example:9090/graph",
    },
)
