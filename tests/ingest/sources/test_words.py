"""The words that vendors have for how bad it is and how it stands: each of theirs has one of ours."""

from __future__ import annotations

import orjson
import pytest

from app.incidents.rules.states import AlertStatus, Severity
from app.ingest.rules.requests import HeaderFilter
from app.ingest.sources import get_source
from tests.ingest.sources.stories import STORIES

P0, P1, P2, P3 = Severity

SEVERITIES = {
    # PagerDuty, "Incident priority": P1 to P5 by default, or SEV-1 to SEV-5; "Urgency": high and low.
    "pagerduty": {"p1": P0, "p2": P1, "p3": P2, "p4": P3, "p5": P3, "sev-1": P0, "sev1": P0, "high": P1, "low": P3},
    # Sentry, "Event payloads", level, and the actions of metric alerts.
    "sentry": {
        "fatal": P1,
        "error": P2,
        "warning": P2,
        "info": P3,
        "debug": P3,
        "sample": P3,
        "critical": P1,
    },
    # Datadog, "Monitor priority", and "Webhooks", $ALERT_TYPE.
    "datadog": {
        "p1": P0,
        "p2": P1,
        "p3": P2,
        "p4": P3,
        "p5": P3,
        "error": P1,
        "warning": P2,
        "success": P3,
        "info": P3,
        "no data": P2,
    },
    # New Relic, "Issue priority levels".
    "newrelic": {"critical": P1, "high": P2, "medium": P2, "low": P3},
    "cloudwatch": {"insufficient_data": P3},
    # Microsoft Learn, "Common alert schema", essentials, severity.
    "azure_monitor": {"sev0": P0, "sev1": P1, "sev2": P2, "sev3": P3, "sev4": P3},
    # Google Cloud, "Severity levels of alerting policies".
    "gcp_monitoring": {"critical": P1, "error": P1, "warning": P2, "no severity": P2},
    # Zabbix manual, "Trigger severity".
    "zabbix": {"not classified": P3, "information": P3, "warning": P2, "average": P2, "high": P1, "disaster": P0},
    # Nagios Core, "State types", and what is made of FLAPPINGSTART.
    "nagios": {
        "ok": P3,
        "warning": P2,
        "critical": P1,
        "unknown": P2,
        "pending": P3,
        "up": P3,
        "down": P1,
        "unreachable": P2,
        "flapping": P2,
    },
    "icinga2": {"ok": P3, "warning": P2, "critical": P1, "unknown": P2, "up": P3, "down": P1, "unreachable": P2},
    # Checkmk has the short states beside the long ones.
    "checkmk": {"ok": P3, "warn": P2, "crit": P1, "unkn": P2, "up": P3, "down": P1, "unre": P2, "critical": P1},
    # Labels that people choose; these are the usual ones.
    "prometheus": {"critical": P1, "page": P1, "warning": P2, "info": P3, "none": P3},
    "grafana": {"critical": P1, "high": P1, "warning": P2, "medium": P2, "low": P3, "info": P3, "no_data": P2},
}


@pytest.mark.parametrize(
    ("slug", "word", "severity"),
    [(slug, word, severity) for slug, words in SEVERITIES.items() for word, severity in words.items()],
    ids=str,
)
def test_a_vendors_word_has_a_severity(slug: str, word: str, severity: Severity) -> None:
    assert get_source(slug).severities[word] is severity


@pytest.mark.parametrize("slug", sorted({story.slug for story in STORIES}))
def test_every_word_is_written_as_it_is_looked_up(slug: str) -> None:
    assert all(word == word.strip().lower() and word for word in get_source(slug).severities)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)
def test_the_samples_words_are_known(story: object) -> None:
    assert isinstance(story, type(STORIES[0]))
    known = get_source(story.slug).severities
    for sample in (story.firing, story.resolved):
        for event in story.events(sample):
            assert event.raw_severity == "" or event.raw_severity.lower() in known


def of_nagios(kind: str, state: str) -> AlertStatus:
    source = get_source("nagios")
    body = orjson.dumps({"type": kind, "host": "db-7", "service": "disk", "state": state})
    return source.parse(body, {}, source.config_model())[0].status


@pytest.mark.parametrize("kind", ["PROBLEM", "FLAPPINGSTOP", "FLAPPINGDISABLED", "FLAPPINGEND", "NEWKIND"])
@pytest.mark.parametrize("state", ["WARNING", "CRITICAL", "UNKNOWN", "DOWN", "UNREACHABLE", "PENDING", ""])
def test_a_bad_state_fires_whatever_the_notification(kind: str, state: str) -> None:
    assert of_nagios(kind, state) is AlertStatus.FIRING


@pytest.mark.parametrize(
    "kind",
    ["RECOVERY", "FLAPPINGSTOP", "FLAPPINGEND", "DOWNTIMEEND", "DOWNTIMECANCELLED", "DOWNTIMEREMOVED", "NEWKIND"],
)
@pytest.mark.parametrize("state", ["OK", "UP", "ok"])
def test_a_good_state_ends_it_where_no_recovery_is_notified(kind: str, state: str) -> None:
    assert of_nagios(kind, state) is AlertStatus.RESOLVED


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ACKNOWLEDGEMENT", AlertStatus.ACKNOWLEDGED),
        ("DOWNTIMESTART", AlertStatus.NOTED),
        ("CUSTOM", AlertStatus.NOTED),
        ("FLAPPINGSTART", AlertStatus.FIRING),
    ],
)
@pytest.mark.parametrize("state", ["OK", "CRITICAL"])
def test_what_people_do_says_nothing_of_the_state(kind: str, status: AlertStatus, state: str) -> None:
    assert of_nagios(kind, state) is status


@pytest.mark.parametrize(
    ("transition", "status"),
    [
        *((said, AlertStatus.FIRING) for said in ("Triggered", "Re-Triggered", "Warn", "Re-Warn", "No Data")),
        *((said, AlertStatus.FIRING) for said in ("Re-No Data", "Renotify", "")),
        ("Recovered", AlertStatus.RESOLVED),
    ],
)
def test_each_transition_of_datadog_has_a_status(transition: str, status: AlertStatus) -> None:
    source = get_source("datadog")
    body = orjson.dumps({"alert_id": "1", "alert_cycle_key": "2", "alert_transition": transition})
    assert source.parse(body, {}, source.config_model())[0].status is status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *((kind, AlertStatus.FIRING) for kind in ("triggered", "reopened", "unacknowledged", "priority_updated")),
        ("acknowledged", AlertStatus.ACKNOWLEDGED),
        ("resolved", AlertStatus.RESOLVED),
        *((kind, AlertStatus.NOTED) for kind in ("annotated", "delegated", "escalated", "reassigned")),
        *((kind, AlertStatus.NOTED) for kind in ("responder.added", "responder.replied", "status_update_published")),
        *((kind, AlertStatus.NOTED) for kind in ("service_updated", "conference_bridge.updated", "a_new_kind")),
        *((kind, None) for kind in ("workflow.started", "workflow.completed")),
    ],
)
def test_each_event_of_pagerduty_has_a_status(kind: str, status: AlertStatus | None) -> None:
    source = get_source("pagerduty")
    event = {"event_type": f"incident.{kind}", "data": {"id": "P1", "title": "t", "incident": {"id": "P1"}}}
    events = source.parse(orjson.dumps({"event": event}), {}, source.config_model())
    assert [found.status for found in events] == ([status] if status else [])


def test_the_intake_keeps_the_header_that_tells_what_sentry_sends() -> None:
    known = [(b"Sentry-Hook-Resource", b"issue"), (b"Sentry-Hook-Timestamp", b"1772446530")]
    kept = orjson.loads(HeaderFilter({"sentry-hook-signature"}).keep([*known, (b"Sentry-Hook-Signature", b"0f")]))
    assert kept == {"sentry-hook-resource": "issue", "sentry-hook-timestamp": "1772446530"}
