"""Acknowledgements and notes that senders bring along, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState
from tests.incidents.rules.world_maker import Desk, minute, resolve, signal


def ack(at: float, **changes: Any) -> Signal:
    """An acknowledgement at ``at`` minutes, a word of its own unless told otherwise."""
    return signal(at, **({"status": AlertStatus.ACKNOWLEDGED, "origin": f"ack {at}"} | changes))


def note(at: float, text: str = "looking at it", **changes: Any) -> Signal:
    """A note at ``at`` minutes."""
    return signal(at, **({"status": AlertStatus.NOTED, "note": text, "origin": f"note {at}"} | changes))


# Each case: the signals in the order of arrival, what became of each, the alert's status and the incident's state.
CASES: dict[str, tuple[list[Signal], list[str], str | None, str | None]] = {
    "it acknowledges what is open": ([signal(0), ack(1)], ["opened", "acknowledged"], "firing", "acknowledged"),
    "and never opens": ([ack(1)], ["ignored"], None, None),
    "nor is it remembered against a firing": ([ack(1), signal(0)], ["ignored", "opened"], "firing", "open"),
    "nor does it bring back what is over": (
        [signal(0), resolve(1), ack(2)],
        ["opened", "resolved", "ignored"],
        "resolved",
        "resolved",
    ),
    "an older one does not touch a newer firing": ([signal(5), ack(3)], ["opened", "late"], "firing", "open"),
    "nor a newer resolve": (
        [signal(0), resolve(5), ack(3)],
        ["opened", "resolved", "late"],
        "resolved",
        "resolved",
    ),
    "a resolve older than it still resolves": (
        [signal(0), ack(5), resolve(3)],
        ["opened", "acknowledged", "resolved"],
        "resolved",
        "resolved",
    ),
    "a repeat of the firing leaves it acknowledged": (
        [signal(0), ack(1), signal(2)],
        ["opened", "acknowledged", "bumped"],
        "firing",
        "acknowledged",
    ),
    "a second one says nothing": (
        [signal(0), ack(1), ack(2)],
        ["opened", "acknowledged", "ignored"],
        "firing",
        "acknowledged",
    ),
    "a new firing after the resolve is not acknowledged": (
        [signal(0), ack(1), resolve(2), signal(3)],
        ["opened", "acknowledged", "resolved", "reopened"],
        "firing",
        "open",
    ),
    "a note is noted": ([signal(0), note(1)], ["opened", "noted"], "firing", "open"),
    "also when it is over": ([signal(0), resolve(1), note(2)], ["opened", "resolved", "noted"], "resolved", "resolved"),
    "and when it comes late": ([signal(5), note(1)], ["opened", "noted"], "firing", "open"),
    "a note about nothing opens nothing": ([note(1)], ["ignored"], None, None),
    "an empty note says nothing": ([signal(0), note(1, "")], ["opened", "ignored"], "firing", "open"),
}


@pytest.mark.parametrize(("signals", "outcomes", "status", "state"), CASES.values(), ids=CASES.keys())
def test_what_is_said_moves_incidents_and_never_alerts(
    signals: list[Signal], outcomes: list[str], status: str | None, state: str | None
) -> None:
    assert Desk().live(signals) == (outcomes, status, [state] if state else [])


def test_the_sender_is_named_as_who_acknowledged_and_when() -> None:
    desk = Desk()
    desk.apply(signal(0), ack(1))
    incident = desk.incident()
    assert (incident.acknowledged_by, incident.acknowledged_at) == ("sender probe", minute(1))
    line = desk.world.notes[-1]
    assert (line.kind, line.summary) == ("incident.acknowledged", "Acknowledged")
    assert "probe" in line.reason


def test_the_same_acknowledgement_again_does_not_undo_what_people_did_since() -> None:
    desk = Desk()
    desk.apply(signal(0), ack(1))
    desk.incident().reopen()
    assert desk.apply(ack(1))[0].outcome is AlertOutcome.IGNORED
    assert desk.incident().state is IncidentState.OPEN
    assert desk.apply(ack(2))[0].outcome is AlertOutcome.ACKNOWLEDGED


def test_a_mitigated_incident_stays_mitigated() -> None:
    desk = Desk()
    desk.apply(signal(0))
    desk.incident().state = IncidentState.MITIGATED
    verdict = desk.apply(ack(1))[0]
    assert (verdict.outcome, desk.incident().state) == (AlertOutcome.IGNORED, IncidentState.MITIGATED)
    assert "mitigated" in verdict.reason


@pytest.mark.parametrize("status", list(AlertStatus))
def test_a_note_comes_with_any_status_and_once(status: AlertStatus) -> None:
    desk = Desk()
    desk.apply(signal(0))
    for _ in range(2):
        desk.apply(signal(1, status=status, note="two\nlines", origin="word"))
    lines = [line for line in desk.world.notes if line.kind == "incident.note"]
    assert [(line.summary, line.data) for line in lines] == [("two lines", {"text": "two\nlines"})]
