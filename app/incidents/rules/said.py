"""What a sender says besides firing and resolved: that somebody over there is on it, and what somebody wrote.

Neither moves the order of its alert, so a resolve that is older than an acknowledgement still resolves.
"""

from __future__ import annotations

from dataclasses import replace

from app.incidents.rules.settle import iso
from app.incidents.rules.signals import Signal, clean
from app.incidents.rules.states import TRANSITIONS, AlertOutcome, AlertStatus, IncidentAction
from app.incidents.rules.world import Alert, Note, TicketFact, Verdict, World

ACKNOWLEDGED = "incident.acknowledged"
NOTED = "incident.note"
_REPEATED = "this very event was applied before"


def acknowledge(world: World, alert: Alert | None, signal: Signal, *, source_name: str) -> tuple[AlertOutcome, str]:
    """This will acknowledge the incident of an alert that fires, if nobody has; it never opens anything."""
    if alert is None:
        return AlertOutcome.IGNORED, "acknowledged before any firing was seen; an acknowledgement opens nothing"
    if not _is_first(world, signal, ACKNOWLEDGED):
        return AlertOutcome.IGNORED, _REPEATED
    alert.last_seen_at = max(alert.last_seen_at, signal.received_at)
    alert.is_changed = True
    incident = world.incidents[alert.incident_id]
    if not alert.is_firing:
        return AlertOutcome.IGNORED, "the alert is over; there is nothing to acknowledge"
    if incident.id in world.storms:
        return AlertOutcome.IGNORED, "it is one of many alerts of a storm; a person acknowledges that"
    sources, target = TRANSITIONS[IncidentAction.ACKNOWLEDGE]
    if incident.state not in sources:
        return AlertOutcome.IGNORED, f"its incident is {incident.state} already"
    incident.state, incident.acknowledged_at, incident.acknowledged_by = target, signal.at, f"sender {source_name}"
    incident.happened.append("acknowledged")
    reason = f"{source_name} says that {alert.title!r} was acknowledged at {iso(signal.at)}"
    world.note(
        Note(incident_id=incident.id, kind=ACKNOWLEDGED, summary="Acknowledged", reason=reason, origin=signal.origin)
    )
    return AlertOutcome.ACKNOWLEDGED, reason


def add_note(world: World, alert: Alert | None, signal: Signal, verdict: Verdict, *, source_name: str) -> Verdict:
    """This will put the signal's note on the timeline of its alert's incident, once; late ones and ended ones too."""
    only = signal.status is AlertStatus.NOTED
    if not signal.note:
        return verdict
    if alert is None:
        return replace(verdict, reason="a note about an alert that was never seen") if only else verdict
    if not _is_first(world, signal, NOTED):
        return replace(verdict, reason=_REPEATED) if only else verdict
    incident = world.incidents[alert.incident_id]
    incident.happened.append("note")
    world.note(
        Note(
            incident_id=incident.id,
            kind=NOTED,
            summary=clean(" ".join(signal.note.split()), 120),
            reason=f"{source_name} sent it about {alert.title!r}",
            data={"text": signal.note},
            origin=signal.origin,
        )
    )
    return replace(verdict, outcome=AlertOutcome.NOTED, reason="its note is on the timeline") if only else verdict


def announce_ticket(world: World, alert: Alert | None, signal: Signal) -> None:
    """This will state, once, that a ticket was created at the desk."""
    if alert is None or not alert.is_firing or alert.ticket_announced:
        return
    if signal.ticket is None or signal.ticket.get("event") != "created":
        return
    alert.ticket_announced = alert.is_changed = True
    world.tickets.append(
        TicketFact(
            incident_id=alert.incident_id,
            ticket=signal.ticket,
            title=signal.title,
            description=signal.description,
            labels=signal.labels,
        )
    )


def _is_first(world: World, signal: Signal, kind: str) -> bool:
    """Whether the timelines do not repeat this word yet; from now on they do."""
    if (signal.origin, kind) in world.repeated:
        return False
    world.repeated.add((signal.origin, kind))
    return True
