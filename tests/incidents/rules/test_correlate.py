"""How signals move alerts and incidents, in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.incidents.rules.settle import expire
from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState, Severity
from tests.incidents.rules.world_maker import Desk, minute, resolve, signal

# Each case: the signals in the order of arrival, what became of each, the alert's status and the incident's state.
CASES: dict[str, tuple[list[Signal], list[str], str, str | None]] = {
    "firing opens": ([signal(0)], ["opened"], "firing", "open"),
    "a repeat bumps": ([signal(0), signal(0, seq=1)], ["opened", "bumped"], "firing", "open"),
    "a resolve closes": ([signal(0), resolve(5)], ["opened", "resolved"], "resolved", "resolved"),
    "a second resolve says nothing": (
        [signal(0), resolve(5), resolve(6)],
        ["opened", "resolved", "ignored"],
        "resolved",
        "resolved",
    ),
    "a late firing does not reopen": (
        [signal(0), resolve(5), signal(3, seq=2)],
        ["opened", "resolved", "late"],
        "resolved",
        "resolved",
    ),
    "a late resolve does not resolve": ([signal(5), resolve(3, seq=1)], ["opened", "late"], "firing", "open"),
    "an older repeat is counted": ([signal(5), signal(3, seq=1)], ["opened", "bumped"], "firing", "open"),
    "a resolve before any firing makes no ghost": ([resolve(5)], ["ignored"], "resolved", None),
    "and is remembered against an older firing": ([resolve(5), signal(3)], ["ignored", "late"], "resolved", None),
    "but not against a newer firing": ([resolve(5), signal(7)], ["ignored", "opened"], "firing", "open"),
    "a newer firing within the window reopens": (
        [signal(0), resolve(5), signal(10)],
        ["opened", "resolved", "reopened"],
        "firing",
        "open",
    ),
    "the very same event twice says nothing": ([signal(0), signal(0)], ["opened", "ignored"], "firing", "open"),
    "of two at one time the later delivery counts": (
        [signal(0, seq=1), resolve(0, seq=2)],
        ["opened", "resolved"],
        "resolved",
        "resolved",
    ),
}


@pytest.mark.parametrize(("signals", "outcomes", "status", "state"), CASES.values(), ids=CASES.keys())
def test_one_alerts_states(signals: list[Signal], outcomes: list[str], status: str, state: str | None) -> None:
    assert Desk().live(signals) == (outcomes, status, [state] if state else [])


def test_a_firing_after_the_window_opens_a_new_incident_with_a_new_episode() -> None:
    desk = Desk(reopen_window=timedelta(minutes=30))
    first, _, second = (desk.apply(one)[0] for one in (signal(0), resolve(5), signal(36)))
    assert second.outcome is AlertOutcome.OPENED
    assert (first.incident_id, first.alert_id) != (second.incident_id, second.alert_id)
    assert [incident.state for incident in desk.world.incidents.values()] == ["resolved", "open"]


def test_a_closed_incident_is_not_reopened() -> None:
    desk = Desk()
    first, _ = (desk.apply(one)[0] for one in (signal(0), resolve(5)))
    desk.incident().state = IncidentState.CLOSED
    assert desk.apply(signal(6))[0].incident_id != first.incident_id


def test_a_reopened_incident_is_open_again_and_not_acknowledged() -> None:
    desk = Desk()
    desk.apply(signal(0))
    desk.incident().state, desk.incident().acknowledged_by = IncidentState.ACKNOWLEDGED, "Ana"
    desk.apply(resolve(5))
    desk.apply(signal(6))
    assert desk.incident().state is IncidentState.OPEN
    assert desk.incident().acknowledged_by is None


def test_what_responders_ended_is_not_reopened_by_a_firing_that_began_before() -> None:
    desk = Desk()
    desk.apply(signal(0))
    incident = desk.incident()
    incident.state, incident.resolved_at, incident.resolved_by = IncidentState.RESOLVED, minute(10), "Ana"
    late = desk.apply(signal(9, seq=1))[0]
    assert late.outcome is AlertOutcome.BUMPED
    assert "Ana" in late.reason
    assert incident.state is IncidentState.RESOLVED
    assert "alert.still_firing" not in desk.kinds()
    newer = desk.apply(signal(12))[0]
    assert newer.outcome is AlertOutcome.REOPENED
    assert incident.is_open
    assert incident.has_open_alerts()


def test_a_sender_that_fires_on_after_the_resolve_is_noted_once() -> None:
    desk = Desk()
    desk.apply(signal(0))
    incident = desk.incident()
    incident.state, incident.resolved_at, incident.resolved_by = IncidentState.RESOLVED, minute(10), "Ana"
    for seq in (1, 2, 3):
        desk.apply(signal(0, seq=seq, received_at=minute(10 + seq)))
    assert desk.kinds() == ["incident.opened", "alert.still_firing"]
    assert incident.state is IncidentState.RESOLVED


def test_alerts_of_one_group_share_an_incident_which_ends_with_the_last_of_them() -> None:
    desk = Desk()
    verdicts = desk.apply(*(signal(0, key=key, group="web") for key in "abc"))
    assert len({verdict.incident_id for verdict in verdicts}) == 1
    assert desk.incident().title == "alert a (+2 more)"
    desk.apply(resolve(1, key="a", group="web"), resolve(1, key="b", group="web"))
    assert desk.incident("c").is_open
    desk.apply(resolve(2, key="c", group="web"))
    assert not desk.open_incidents()


def test_a_new_alert_of_a_group_joins_the_open_incident_and_leaves_its_title() -> None:
    desk = Desk()
    first = desk.apply(signal(0, key="a", group="web"))[0]
    second = desk.apply(signal(1, key="b", group="web"))[0]
    assert first.incident_id == second.incident_id
    assert desk.incident().title == "alert a"


def test_severity_follows_the_worst_firing_alert_up_and_down() -> None:
    desk = Desk()
    seen = []
    for one in (
        signal(0, key="a", group="g", severity=Severity.P3),
        signal(1, key="b", group="g", severity=Severity.P1),
        signal(2, key="a", group="g", severity=Severity.P0),
        signal(3, key="a", group="g", severity=Severity.P2),
        resolve(4, key="b", group="g"),
        resolve(5, key="a", group="g"),
    ):
        desk.apply(one)
        seen.append(desk.incident().severity.value)
    assert seen == ["P3", "P1", "P0", "P1", "P2", "P2"]


def test_a_batch_is_applied_in_event_order_whatever_its_own_order() -> None:
    desk = Desk()
    resolved, opened = desk.apply(resolve(5), signal(0))
    assert (opened.outcome, resolved.outcome) == (AlertOutcome.OPENED, AlertOutcome.RESOLVED)
    assert desk.kinds() == ["incident.opened", "alert.resolved", "incident.resolved"]


def test_a_storm_is_one_line_in_the_timeline() -> None:
    desk = Desk()
    desk.apply(signal(0, key="first", group="g"))
    desk.apply(*(signal(1, key=f"k{number}", group="g") for number in range(200)))
    assert desk.kinds() == ["incident.opened", "alert.opened"]
    assert len(desk.world.notes[1].alerts) == 200


def test_every_line_says_why() -> None:
    desk = Desk()
    for one in (signal(0), resolve(5), signal(3, seq=2), signal(8), resolve(90), signal(200, severity=Severity.P0)):
        desk.apply(one)
    assert all(note.reason and note.summary for note in desk.world.notes)


def test_late_events_are_noted_once_for_an_episode() -> None:
    desk = Desk()
    desk.apply(signal(0))
    desk.apply(resolve(5))
    for number in range(5):
        desk.apply(signal(1, seq=10 + number))
    assert desk.kinds().count("alert.late") == 1
    alert = desk.world.heads["a"].alert
    assert alert is not None
    assert (alert.count, alert.late_count) == (6, 5)


class TestTimeOut:
    def desk(self) -> Desk:
        desk = Desk(expires_at=minute(10))
        desk.apply(signal(0))
        return desk

    def test_ends_the_alert_and_its_incident_with_the_reason(self) -> None:
        desk = self.desk()
        assert len(expire(desk.world, now=minute(10))) == 1
        assert (desk.status(), desk.incident().state) == (AlertStatus.RESOLVED, IncidentState.RESOLVED)
        assert "not seen since" in desk.world.notes[-1].reason

    def test_leaves_alone_what_is_not_due_or_has_no_time_out(self) -> None:
        desk = self.desk()
        desk.rule = Desk().rule
        desk.apply(signal(0, key="b"))
        assert expire(desk.world, now=minute(9)) == []
        assert [alert.key for alert in expire(desk.world, now=minute(999))] == ["a"]

    def test_is_a_guess_that_the_senders_next_word_corrects_even_with_the_old_start(self) -> None:
        desk = self.desk()
        expire(desk.world, now=minute(10))
        verdict = desk.apply(signal(0, seq=1))[0]
        assert verdict.outcome is AlertOutcome.REOPENED
        assert desk.incident().is_open

    def test_is_not_undone_by_an_older_delivery(self) -> None:
        desk = Desk(expires_at=minute(10))
        desk.apply(signal(5))
        expire(desk.world, now=minute(10))
        assert desk.apply(signal(3, seq=9))[0].outcome is AlertOutcome.LATE


class TestTickets:
    TICKET = {"system": "servicedesk", "external_id": "7", "url": "", "requester": "", "event": "created"}

    def test_a_creation_is_stated_once_however_often_it_is_sent(self) -> None:
        desk = Desk()
        for seq in range(3):
            desk.apply(signal(0, seq=seq, ticket=self.TICKET))
        assert len(desk.world.tickets) == 1

    def test_a_creation_that_comes_after_its_update_is_stated_too(self) -> None:
        desk = Desk()
        desk.apply(signal(5, ticket=self.TICKET | {"event": "updated"}))
        assert desk.world.tickets == []
        desk.apply(signal(0, seq=1, ticket=self.TICKET))
        assert len(desk.world.tickets) == 1

    def test_a_creation_that_comes_after_the_close_is_not(self) -> None:
        desk = Desk()
        desk.apply(resolve(5, ticket=self.TICKET | {"event": "closed"}))
        desk.apply(signal(0, seq=1, ticket=self.TICKET))
        assert desk.world.tickets == []
