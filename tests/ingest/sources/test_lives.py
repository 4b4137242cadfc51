"""What becomes of an incident over a sender's messages, by the rules that apply them: does an end really end it?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState, Severity
from tests.incidents.rules.world_maker import Desk
from tests.ingest.sources.senders import sent

OPEN, OVER, TAKEN = IncidentState.OPEN, IncidentState.RESOLVED, IncidentState.ACKNOWLEDGED

# Source, then samples by the minute of their delivery, and the state in which they leave the incident.
LIVES: Sequence[tuple[str, Sequence[tuple[float, str]], IncidentState]] = [
    ("pingdom", [(0, "down"), (11, "up")], OVER),
    ("pingdom", [(2, "transaction_failing"), (7, "transaction_success")], OVER),
    ("uptimerobot", [(0, "down_form"), (11, "up_form")], OVER),
    ("uptimerobot", [(0, "down_json"), (6, "up_json")], OVER),
    ("uptime_kuma", [(0, "down"), (11, "up")], OVER),
    ("uptime_kuma", [(0, "down"), (16, "maintenance")], OVER),
    ("statuscake", [(0, "down"), (5, "down"), (9, "up")], OVER),
    ("statuscake", [(0, "down"), (9, "up"), (12, "down")], OPEN),
    ("betterstack", [(0, "started"), (2, "acknowledged")], TAKEN),
    ("betterstack", [(0, "started"), (2, "acknowledged"), (11, "resolved")], OVER),
    ("betterstack", [(0, "started"), (11, "resolved"), (14, "reopened")], OPEN),
    ("github", [(0, "dependabot_created"), (1370, "dependabot_fixed")], OVER),
    ("github", [(0, "code_scanning_created"), (110, "code_scanning_dismissed")], OVER),
    ("github", [(0, "code_scanning_created"), (110, "code_scanning_dismissed"), (120, "code_scanning_reopened")], OPEN),
    ("github", [(0, "secret_scanning_created"), (30, "secret_scanning_resolved")], OVER),
    ("github", [(8, "workflow_failed"), (53, "workflow_succeeded")], OVER),
    ("github", [(7, "check_run_failed"), (51, "check_run_succeeded")], OVER),
    ("github", [(16, "deployment_failed"), (31, "deployment_succeeded")], OVER),
    ("gitlab", [(8, "pipeline_failed"), (54, "pipeline_succeeded")], OVER),
    ("gitlab", [(8, "job_failed"), (17, "job_succeeded")], OVER),
    ("gitlab", [(16, "deployment_failed"), (31, "deployment_succeeded")], OVER),
    ("gitlab", [(0, "incident_opened"), (3, "incident_acknowledged")], TAKEN),
    ("gitlab", [(0, "incident_opened"), (3, "incident_acknowledged"), (48, "incident_closed")], OVER),
    ("gitlab", [(0, "vulnerability_detected"), (2745, "vulnerability_resolved")], OVER),
    ("jira", [(0, "created"), (16, "updated"), (61, "done")], OVER),
    ("jira", [(0, "created"), (16, "updated"), (61, "done"), (76, "reopened")], OPEN),
    ("jira", [(0, "created"), (93, "deleted")], OVER),
    ("servicenow", [(0, "created"), (6, "updated"), (61, "resolved")], OVER),
    ("servicenow", [(0, "created"), (6, "updated"), (61, "resolved"), (86, "reopened")], OPEN),
    ("servicenow", [(0, "created"), (1, "deleted")], OVER),
    ("opsgenie", [(0, "create"), (2, "acknowledge"), (4, "add_note")], TAKEN),
    ("opsgenie", [(0, "create"), (2, "acknowledge"), (4, "add_note"), (61, "close")], OVER),
    ("opsgenie", [(0, "create"), (61, "close"), (62, "add_note")], OVER),
    ("kibana", [(0, "active"), (11, "recovered")], OVER),
    ("dynatrace", [(0, "open"), (5, "open"), (31, "resolved")], OVER),
    ("dynatrace", [(0, "open"), (31, "resolved"), (40, "open")], OPEN),
    ("dynatrace", [(0, "open"), (6, "merged")], OVER),
]


def told(slug: str, samples: Sequence[tuple[float, str]]) -> tuple[Desk, str]:
    """The messages applied one after the other, and the key of their one alert."""
    desk = Desk()
    signals = [sent(slug, sample).signal(minute=at, seq=seq) for seq, (at, sample) in enumerate(samples, start=1)]
    for signal in signals:
        desk.apply(signal)
    assert len({signal.key for signal in signals}) == 1
    return desk, signals[0].key


@pytest.mark.parametrize(
    ("slug", "samples", "state"),
    LIVES,
    ids=lambda value: "-".join(s for _, s in value) if isinstance(value, list) else None,
)
def test_the_incident_is_where_the_senders_messages_left_it(
    slug: str, samples: Sequence[tuple[float, str]], state: IncidentState
) -> None:
    desk, key = told(slug, samples)
    assert desk.incident(key).state is state


@pytest.mark.parametrize(("slug", "once", "again"), [("splunk", "alert", "again"), ("graylog", "event", "again")])
def test_a_search_that_finds_it_again_counts_up(slug: str, once: str, again: str) -> None:
    desk, key = told(slug, [(0, once), (5.5, again)])
    alert = desk.world.heads[key].alert
    assert alert is not None
    assert (alert.count, alert.status, len(desk.world.incidents)) == (2, AlertStatus.FIRING, 1)


def test_an_older_run_that_fails_late_does_not_break_what_a_newer_one_mended() -> None:
    desk = Desk()
    newer = sent("github", "workflow_succeeded").signal(minute=53, seq=1)
    older = sent("github", "workflow_failed").signal(minute=60, seq=2)
    desk.apply(newer)
    assert desk.apply(older)[0].outcome is AlertOutcome.LATE
    assert desk.open_incidents() == []


def test_many_findings_of_one_repository_are_one_incident() -> None:
    desk = Desk()
    for number in range(1, 21):
        desk.apply(sent("github", "dependabot_created", alert__number=number).signal(minute=0, seq=number))
    (incident,) = desk.world.incidents.values()
    assert sum(incident.open_alerts.values()) == 20
    desk.apply(sent("github", "secret_scanning_created").signal(minute=1, seq=30))
    assert len(desk.world.incidents) == 2


def test_a_lesser_priority_over_there_is_a_lesser_severity_here() -> None:
    desk, key = told("opsgenie", [(0, "create"), (5, "update_priority")])
    assert desk.incident(key).state is OPEN
    alert = desk.world.heads[key].alert
    assert alert is not None
    assert alert.severity is Severity.P2


def test_notes_and_who_acknowledged_are_on_the_timeline() -> None:
    desk, _ = told("opsgenie", [(0, "create"), (2, "acknowledge"), (4, "add_note")])
    said = "\n".join(note.summary + note.reason for note in desk.world.notes)
    assert "dana@example.com: Vacuum is running" in said
    assert "Acknowledged in Opsgenie by dana@example.com" in said
