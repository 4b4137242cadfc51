"""How an alert ends and what that does to its incident; how an incident's severity follows its alerts."""

from __future__ import annotations

from datetime import datetime

from app.incidents.rules.states import AlertStatus, IncidentState, Severity
from app.incidents.rules.world import Alert, Incident, Note, World


def expire(world: World, *, now: datetime) -> list[Alert]:
    """This will end every alert of the world that is past its ``expires_at`` and return them.

    The key's order stays what the sender last said: a time-out is our guess, so the next word of the sender that says
    *firing* brings the alert back, even one that carries the old start time.
    """
    ended = []
    for head in world.heads.values():
        alert = head.alert
        if alert is None or not alert.is_firing or alert.expires_at is None or alert.expires_at > now:
            continue
        reason = f"not seen since {iso(alert.last_seen_at)}; the source's resolve time-out has passed"
        head.status, head.is_changed = AlertStatus.RESOLVED, True
        end_alert(world, alert, at=now, reason=reason, by="the resolve time-out")
        ended.append(alert)
    return ended


def end_alert(world: World, alert: Alert, *, at: datetime, reason: str, by: str) -> None:
    """This will end a firing alert, and its incident where that was the last one that fired."""
    incident = world.incidents[alert.incident_id]
    close_episode(incident, alert, at=at, reason=reason)
    world.note(note_about(alert, kind="alert.resolved", summary=f"{alert.title!r} is resolved", reason=reason))
    if not incident.is_open:
        return
    incident.happened.append("alerts")
    if incident.has_open_alerts():
        rate(world, incident, f"{alert.title!r} is resolved")
        return
    incident.state, incident.resolved_at, incident.resolved_by = IncidentState.RESOLVED, at, by
    incident.happened.append("resolved")
    why = f"the last of its alerts is over: {reason}"
    world.note(Note(incident_id=incident.id, kind="incident.resolved", summary="Incident resolved", reason=why))


def close_episode(incident: Incident, alert: Alert, *, at: datetime, reason: str) -> None:
    alert.status, alert.resolved_at, alert.resolve_reason, alert.is_changed = AlertStatus.RESOLVED, at, reason, True
    incident.open_alerts[alert.severity] -= 1


def rate(world: World, incident: Incident, reason: str) -> None:
    """This will set the incident's severity to the worst of its firing alerts."""
    severity: Severity | None = incident.worst_open()
    if severity is None or severity is incident.severity:
        return
    summary = f"Severity {incident.severity} → {severity}"
    data = {"from": incident.severity.value, "to": severity.value}
    incident.severity = severity
    incident.happened.append("severity")
    world.note(Note(incident_id=incident.id, kind="incident.severity", summary=summary, reason=reason, data=data))


def note_about(alert: Alert, *, kind: str, summary: str, reason: str) -> Note:
    return Note(
        incident_id=alert.incident_id, kind=kind, summary=summary, reason=reason, alerts=[(alert.id, alert.title)]
    )


def iso(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "an unknown time"
