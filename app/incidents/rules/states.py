"""The states of alerts and incidents, and which step leads from which state to which."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from app.core.errors import Conflict


class Severity(StrEnum):
    """How bad it is; P0 is the worst. The text order is the order of severity."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class AlertStatus(StrEnum):
    """What the sender says about one alert; the alert itself is only ever one of ``ALERT_STATES``.

    ``acknowledged`` means that somebody is on it over there, ``noted`` carries a note and says nothing about the state.
    """

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    NOTED = "noted"


ALERT_STATES = (AlertStatus.FIRING, AlertStatus.RESOLVED)
AlertState = Literal[AlertStatus.FIRING, AlertStatus.RESOLVED]


class AlertOutcome(StrEnum):
    """What became of one alert event.

    ``collapsed`` means that it opened an alert within a storm's incident; ``late`` means that a newer event of the same
    alert had been applied before; ``ignored`` means that the event says nothing that was not known (a resolve of
    something that is not firing, or the same event again) or speaks of nothing that is open (an acknowledgement of an
    alert that is over).
    """

    OPENED = "opened"
    BUMPED = "bumped"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    COLLAPSED = "collapsed"
    ACKNOWLEDGED = "acknowledged"
    NOTED = "noted"
    LATE = "late"
    IGNORED = "ignored"


class IncidentState(StrEnum):
    """What the responders say about an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"


class IncidentAction(StrEnum):
    """The steps between incident states."""

    ACKNOWLEDGE = "acknowledge"
    MITIGATE = "mitigate"
    SNOOZE = "snooze"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    CLOSE = "close"
    MERGE = "merge"


OPEN_STATES = frozenset(
    {IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.MITIGATED, IncidentState.SNOOZED}
)

# A closed or merged incident is history: nothing leads out of it, a new firing opens a new incident.
TRANSITIONS: dict[IncidentAction, tuple[frozenset[IncidentState], IncidentState]] = {
    IncidentAction.ACKNOWLEDGE: (frozenset({IncidentState.OPEN, IncidentState.SNOOZED}), IncidentState.ACKNOWLEDGED),
    IncidentAction.MITIGATE: (
        frozenset({IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED}),
        IncidentState.MITIGATED,
    ),
    IncidentAction.SNOOZE: (frozenset({IncidentState.OPEN, IncidentState.ACKNOWLEDGED}), IncidentState.SNOOZED),
    IncidentAction.RESOLVE: (OPEN_STATES, IncidentState.RESOLVED),
    IncidentAction.REOPEN: (
        frozenset({IncidentState.RESOLVED, IncidentState.MITIGATED, IncidentState.SNOOZED}),
        IncidentState.OPEN,
    ),
    IncidentAction.CLOSE: (frozenset({IncidentState.RESOLVED}), IncidentState.CLOSED),
    IncidentAction.MERGE: (OPEN_STATES | {IncidentState.RESOLVED}, IncidentState.MERGED),
}


class InvalidTransition(Conflict):
    """The incident's state does not allow the step that was asked for."""

    code = "incident.invalid_transition"
    title = "The incident's state does not allow this step"
    hint = "Read the incident again; somebody or something may have moved it on."


def next_state(state: IncidentState, action: IncidentAction) -> IncidentState:
    """This will return the state that ``action`` leads to.

    Raises:
        InvalidTransition: No such step leads out of ``state``.
    """
    sources, target = TRANSITIONS[action]
    if state not in sources:
        raise InvalidTransition(f"An incident that is {state} cannot be changed by {action}.")
    return target


def worst(severities: Iterable[Severity]) -> Severity | None:
    """This will return the worst of the severities, or None of none."""
    return min(severities, default=None)
