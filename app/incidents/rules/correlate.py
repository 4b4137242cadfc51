"""How signals move alerts, and alerts move incidents: one at a time, in event order, on a world held in memory.

The whole of a batch is decided here, without a query; the service locks and loads the world before and stores what
changed after. For each dedup key the state is that of its newest signal by (event time, sequence), so any order of
arrival ends the same. An incident that nobody touched by hand is open exactly while one of its alerts fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from app.incidents.rules.collapse import rage, take_in
from app.incidents.rules.flood import StormRule, flooding, why_flood
from app.incidents.rules.said import acknowledge, add_note, announce_ticket
from app.incidents.rules.settle import close_episode, end_alert, iso, note_about, rate
from app.incidents.rules.signals import Signal, common_labels, incident_title
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState
from app.incidents.rules.world import Alert, Head, Incident, Note, Verdict, World

REOPEN_WINDOW = timedelta(minutes=30)
"""How long after its resolve a new firing still belongs to the same incident."""


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """The rule by which a source's alerts become incidents.

    Attributes:
        source_name: For the reasons that people read.
        expires_at: When an alert that fires now counts as over unless seen again.
        new_id: Makes the ids of new alerts and incidents.
        storm: What counts as a flood.
    """

    source_name: str
    new_id: Callable[[], UUID]
    expires_at: datetime | None = None
    reopen_window: timedelta = REOPEN_WINDOW
    storm: StormRule = field(default_factory=StormRule)

    def apply_all(self, world: World, signals: Iterable[Signal]) -> dict[int, Verdict]:
        """This will apply the signals in event order and return their verdicts by position in ``signals``."""
        return dict(self.apply_each(world, signals))

    def apply_each(self, world: World, signals: Iterable[Signal]) -> Iterator[tuple[int, Verdict]]:
        """This will apply the signals in event order, one each step, and yield the position in ``signals`` and its verdict."""
        for position, signal in sorted(enumerate(signals), key=lambda item: item[1].order):
            yield position, self.apply(world, signal)

    def apply(self, world: World, signal: Signal) -> Verdict:
        """This will move the world by one signal."""
        head = world.heads[signal.key]
        if signal.status is AlertStatus.NOTED:
            verdict = _verdict(head.alert, AlertOutcome.IGNORED, "it says nothing about the alert's state")
        elif head.order is not None and signal.order <= head.order:
            verdict = self._late(world, head, signal)
        elif signal.status is AlertStatus.ACKNOWLEDGED:
            outcome, reason = acknowledge(world, head.alert, signal, source_name=self.source_name)
            verdict = _verdict(head.alert, outcome, reason)
        else:
            head.order, head.status, head.is_changed = signal.order, signal.status, True
            firing = signal.status is AlertStatus.FIRING
            verdict = self._fire(world, head, signal) if firing else self._resolve(world, head, signal)
        announce_ticket(world, head.alert, signal)
        return add_note(world, head.alert, signal, verdict, source_name=self.source_name)

    def _late(self, world: World, head: Head, signal: Signal) -> Verdict:
        alert = head.alert
        if signal.order == head.order:
            return _verdict(alert, AlertOutcome.IGNORED, "this very event was applied before")
        if alert is None:
            return _verdict(None, AlertOutcome.LATE, f"a newer event of this alert said {head.status} already")
        alert.is_changed = True
        alert.last_seen_at = max(alert.last_seen_at, signal.received_at)
        if signal.status is AlertStatus.FIRING:
            alert.count += 1
            if alert.is_firing:
                return _verdict(alert, AlertOutcome.BUMPED, "an older repeat of an alert that still fires; counted")
        alert.late_count += 1
        reason = f"{signal.status} at {iso(signal.at)} is older than {head.status} at {iso(_at(head))}"
        if alert.late_count == 1:
            summary = f"A late {signal.status} of {alert.title!r} changed nothing"
            world.note(note_about(alert, kind="alert.late", summary=summary, reason=reason))
        return _verdict(alert, AlertOutcome.LATE, reason)

    def _resolve(self, world: World, head: Head, signal: Signal) -> Verdict:
        alert = head.alert
        if alert is None:
            return _verdict(None, AlertOutcome.IGNORED, "resolved before any firing was seen; remembered")
        alert.last_seen_at = max(alert.last_seen_at, signal.received_at)
        alert.is_changed = True
        if not alert.is_firing:
            return _verdict(alert, AlertOutcome.IGNORED, "the alert was resolved already")
        at = max(signal.ended_at or signal.at, signal.at)
        reason = f"{self.source_name} says that it ended at {iso(at)}"
        end_alert(world, alert, at=at, reason=reason, by=f"sender {self.source_name}")
        return _verdict(alert, AlertOutcome.RESOLVED, reason)

    def _fire(self, world: World, head: Head, signal: Signal) -> Verdict:
        alert = head.alert
        if alert is not None and alert.is_firing:
            incident = world.incidents[alert.incident_id]
            if incident.is_open:
                return self._bump(world, incident, alert, signal, "the alert fires already; counted as a repeat")
            if incident.resolved_at is not None and signal.at <= incident.resolved_at:
                reason = (
                    f"it began at {iso(signal.at)}, before {incident.resolved_by or 'somebody'} ended the incident at "
                    f"{iso(incident.resolved_at)}; counted, not reopened"
                )
                if alert.last_seen_at <= incident.resolved_at < signal.received_at:
                    summary = f"{alert.title!r} still fires at its sender"
                    world.note(note_about(alert, kind="alert.still_firing", summary=summary, reason=reason))
                return self._bump(world, incident, alert, signal, reason)
            # The responders ended the incident while the sender still fired: that firing ended with it.
            close_episode(incident, alert, at=incident.resolved_at or signal.at, reason="its incident was resolved")
        return self._begin(world, head, signal)

    def _bump(self, world: World, incident: Incident, alert: Alert, signal: Signal, reason: str) -> Verdict:
        before = alert.severity
        self._refresh(alert, signal)
        alert.count += 1
        if before is not alert.severity:
            incident.open_alerts[before] -= 1
            incident.open_alerts[alert.severity] += 1
            rate(world, incident, f"{alert.title!r} went from {before} to {alert.severity}")
        return _verdict(alert, AlertOutcome.BUMPED, reason)

    def _begin(self, world: World, head: Head, signal: Signal) -> Verdict:
        incident, why = self._incident_for(world, signal)
        alert = head.alert
        if alert is not None and alert.incident_id == incident.id:
            self._refresh(alert, signal)
            alert.status, alert.resolved_at, alert.resolve_reason = AlertStatus.FIRING, None, None
            alert.count += 1
            outcome = AlertOutcome.REOPENED
            world.note(note_about(alert, kind="alert.reopened", summary=f"{alert.title!r} fires again", reason=why))
        else:
            if alert is not None:
                world.past_alerts.append(alert)
            alert = self._episode(incident, signal)
            head.alert = alert
            world.new_alerts.append(alert)
            outcome = AlertOutcome.OPENED
            if take_in(world, incident, signal.labels, rule=self.storm, now=world.now or signal.received_at):
                outcome = AlertOutcome.COLLAPSED
            elif incident.alert_count == 1 and incident.is_new:
                world.notes[-1].alerts.append((alert.id, alert.title))  # the line that says why the incident opened
            else:
                world.note(note_about(alert, kind="alert.opened", summary=f"{alert.title!r} fires", reason=why))
        incident.open_alerts[alert.severity] += 1
        incident.happened.append("alerts")
        rate(world, incident, f"{alert.title!r} fires with {alert.severity}")
        return _verdict(alert, outcome, why)

    def _incident_for(self, world: World, signal: Signal) -> tuple[Incident, str]:
        standing = self._standing(world, signal)
        if standing is not None:
            return standing
        flood = world.flood_for(signal.severity)
        if flood is not None:
            return self._collapse(world, signal, flood)
        world.room.open_one()
        group = _group_words(signal)
        why = f"no incident of the group {group} is open" if group else "no incident of this alert is open"
        by = f"{signal.title!r} from {self.source_name}"
        return self._open(world, signal, by=by, why=why), why

    def _collapse(self, world: World, signal: Signal, group: str) -> tuple[Incident, str]:
        """The incident of the storm that takes the signal in, opened where there is none."""
        why = why_flood(self.storm, group=group, source_name=self.source_name)
        member = flooding(signal, self.source_name, group=group)
        standing = self._standing(world, member)
        incident = standing[0] if standing is not None else self._open(world, member, by=repr(member.title), why=why)
        rage(world, incident, group=group, why=why, now=world.now or signal.received_at)
        return incident, why

    def _standing(self, world: World, signal: Signal) -> tuple[Incident, str] | None:
        """The incident that the signal's group has, open or worth reopening."""
        known = world.groups.get(signal.group_key)
        incident = world.incidents[known] if known else None
        if incident is not None and incident.is_open:
            group = _group_words(signal)
            if incident.is_new and incident.id not in world.storms:
                _widen(incident, signal)
            return incident, f"the open incident of the group {group}" if group else "its incident is open"
        if incident is not None and self._may_reopen(incident, signal):
            why = (
                f"it fired at {iso(signal.at)}, no later than {_minutes(self.reopen_window)} after the resolve at "
                f"{iso(incident.resolved_at)}"
            )
            incident.reopen()
            incident.happened.append("reopened")
            world.note(Note(incident_id=incident.id, kind="incident.reopened", summary="Incident reopened", reason=why))
            return incident, why
        return None

    def _may_reopen(self, incident: Incident, signal: Signal) -> bool:
        if incident.state is not IncidentState.RESOLVED or incident.resolved_at is None:
            return False
        return signal.at - incident.resolved_at <= self.reopen_window

    def _open(self, world: World, signal: Signal, *, by: str, why: str) -> Incident:
        incident = Incident(
            id=self.new_id(),
            state=IncidentState.OPEN,
            severity=signal.severity,
            title=signal.title,
            first_title=signal.title,
            alert_name=signal.name,
            alert_count=1,
            group_key=signal.group_key,
            group_labels=dict(signal.group_labels),
            labels=dict(signal.labels) | dict(signal.group_labels),
            started_at=signal.started_at,
            ticket=signal.ticket,
            is_new=True,
            happened=["opened"],
        )
        world.incidents[incident.id] = incident
        world.groups[signal.group_key] = incident.id
        world.changed_groups.add(signal.group_key)
        data = {"group": dict(signal.group_labels), "severity": signal.severity.value}
        summary = f"Incident opened by {by}"
        world.note(Note(incident_id=incident.id, kind="incident.opened", summary=summary, reason=why, data=data))
        return incident

    def _episode(self, incident: Incident, signal: Signal) -> Alert:
        return Alert(
            id=self.new_id(),
            key=signal.key,
            incident_id=incident.id,
            status=AlertStatus.FIRING,
            severity=signal.severity,
            raw_severity=signal.raw_severity,
            title=signal.title,
            name=signal.name,
            description=signal.description,
            labels=signal.labels,
            annotations=signal.annotations,
            links=signal.links,
            warnings=signal.warnings,
            ticket=signal.ticket,
            started_at=signal.started_at,
            last_event_at=signal.at,
            first_seen_at=signal.received_at,
            last_seen_at=signal.received_at,
            expires_at=self.expires_at,
            is_new=True,
            is_changed=True,
        )

    def _refresh(self, alert: Alert, signal: Signal) -> None:
        """This will take over what the newest signal says; only a newer one gets here."""
        alert.severity, alert.raw_severity = signal.severity, signal.raw_severity
        alert.title, alert.name, alert.description = signal.title, signal.name, signal.description
        alert.labels, alert.annotations, alert.links = signal.labels, signal.annotations, signal.links
        alert.warnings, alert.ticket = signal.warnings, signal.ticket or alert.ticket
        alert.last_event_at = signal.at
        alert.last_seen_at = max(alert.last_seen_at, signal.received_at)
        alert.expires_at = self.expires_at
        alert.is_changed = True


def _widen(incident: Incident, signal: Signal) -> None:
    incident.alert_count += 1
    incident.title = incident_title(incident.first_title, incident.alert_count)
    incident.labels = common_labels(incident.labels, signal.labels) | dict(incident.group_labels)
    incident.ticket = incident.ticket or signal.ticket


def _verdict(alert: Alert | None, outcome: AlertOutcome, reason: str) -> Verdict:
    return Verdict(
        alert_id=alert.id if alert else None,
        incident_id=alert.incident_id if alert else None,
        outcome=outcome,
        reason=reason,
    )


def _at(head: Head) -> datetime | None:
    return head.order[0] if head.order else None


def _group_words(signal: Signal) -> str:
    return ", ".join(f"{name}={value}" for name, value in signal.group_labels.items())


def _minutes(window: timedelta) -> str:
    return f"{window.total_seconds() / 60:g} min"
