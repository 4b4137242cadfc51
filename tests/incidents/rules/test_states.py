"""The incident state machine, as a table."""

from __future__ import annotations

import pytest

from app.incidents.rules.states import (
    OPEN_STATES,
    TRANSITIONS,
    IncidentAction,
    IncidentState,
    InvalidTransition,
    Severity,
    next_state,
    worst,
)

ALLOWED = {
    ("open", "acknowledge"): "acknowledged",
    ("snoozed", "acknowledge"): "acknowledged",
    ("open", "mitigate"): "mitigated",
    ("acknowledged", "mitigate"): "mitigated",
    ("snoozed", "mitigate"): "mitigated",
    ("open", "snooze"): "snoozed",
    ("acknowledged", "snooze"): "snoozed",
    ("open", "resolve"): "resolved",
    ("acknowledged", "resolve"): "resolved",
    ("mitigated", "resolve"): "resolved",
    ("snoozed", "resolve"): "resolved",
    ("resolved", "reopen"): "open",
    ("mitigated", "reopen"): "open",
    ("snoozed", "reopen"): "open",
    ("resolved", "close"): "closed",
    ("open", "merge"): "merged",
    ("acknowledged", "merge"): "merged",
    ("mitigated", "merge"): "merged",
    ("snoozed", "merge"): "merged",
    ("resolved", "merge"): "merged",
}


@pytest.mark.parametrize("action", IncidentAction)
@pytest.mark.parametrize("state", IncidentState)
def test_every_step_is_allowed_or_refused_as_the_table_says(state: IncidentState, action: IncidentAction) -> None:
    expected = ALLOWED.get((state.value, action.value))
    if expected is None:
        with pytest.raises(InvalidTransition):
            next_state(state, action)
    else:
        assert next_state(state, action) == expected


def test_nothing_leads_out_of_closed_and_merged() -> None:
    ends = {IncidentState.CLOSED, IncidentState.MERGED}
    assert not any(ends & sources for sources, _ in TRANSITIONS.values())


def test_open_states_are_those_that_can_be_resolved() -> None:
    assert TRANSITIONS[IncidentAction.RESOLVE][0] == OPEN_STATES


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], None),
        ([Severity.P3], Severity.P3),
        ([Severity.P3, Severity.P0, Severity.P1], Severity.P0),
        ([Severity.P2, Severity.P2], Severity.P2),
    ],
)
def test_the_worst_severity_is_the_lowest_number(severities: list[Severity], expected: Severity | None) -> None:
    assert worst(severities) == expected
