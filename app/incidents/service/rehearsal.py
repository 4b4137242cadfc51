"""Applying a history of deliveries to an empty world, by the rules that apply the real ones; nothing is read or stored."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from app.incidents.rules.correlate import REOPEN_WINDOW, Correlation
from app.incidents.rules.flood import FLOOD_GROUP, Room
from app.incidents.rules.settle import expire
from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertOutcome, AlertStatus, IncidentState, Severity
from app.incidents.rules.storm import is_over
from app.incidents.rules.world import Alert, Head, Incident, Verdict, World
from app.incidents.schemas import SourceFacts
from app.incidents.service.normalise import Delivered, to_signals


@dataclass(frozen=True, kw_only=True)
class RehearsedEvent:
    """One alert event as it was understood, and what became of it."""

    delivery_id: UUID
    index: int
    dedup_key: str
    status: AlertStatus
    severity: Severity
    title: str
    at: datetime
    group_key: str
    group_labels: Mapping[str, str]
    outcome: AlertOutcome
    alert: UUID | None
    incident: UUID | None


@dataclass(frozen=True, kw_only=True)
class RehearsedAlert:
    """One episode at the end of the history."""

    id: UUID
    incident: UUID
    dedup_key: str
    status: AlertStatus
    severity: Severity
    title: str
    count: int


@dataclass(frozen=True, kw_only=True)
class RehearsedIncident:
    """One incident at the end of the history."""

    id: UUID
    title: str
    state: IncidentState
    severity: Severity
    group_key: str


@dataclass(kw_only=True)
class Rehearsal:
    """Everything that would have come of the history. Ids are numbers, the same for the same history."""

    events: list[RehearsedEvent] = field(default_factory=list)
    alerts: list[RehearsedAlert] = field(default_factory=list)
    incidents: list[RehearsedIncident] = field(default_factory=list)


def rehearse(
    source: SourceFacts, deliveries: Sequence[Delivered], *, reopen_window: timedelta = REOPEN_WINDOW
) -> Rehearsal:
    """This will apply the deliveries one by one, in the order given, each at the time at which it came in.

    What people did in the meantime (an acknowledgement, a resolve by hand) is not part of it, and neither is what was
    open before the first of the deliveries.
    """
    stage = _Stage(source, reopen_window)
    for delivered in deliveries:
        stage.apply(delivered)
    return stage.end()


class _Stage:
    """The world between two deliveries, as the database would hold it."""

    def __init__(self, source: SourceFacts, reopen_window: timedelta) -> None:
        self._source = source
        self._timeout_s = source.resolve_timeout_s
        self._first_due: datetime | None = None
        self._reopen_window = reopen_window
        self._ids = itertools.count(1)
        self._world = World(heads={}, groups={}, incidents={})
        self._open: set[UUID] = set()
        self._opened: deque[tuple[datetime, Severity]] = deque()
        self._alerts: dict[UUID, Alert] = {}
        self._events: list[RehearsedEvent] = []

    def apply(self, delivered: Delivered) -> None:
        """Move the world by one delivery."""
        now = delivered.received_at
        self._expire(now)
        signals = to_signals(self._source, delivered)
        for signal in signals:
            self._world.heads.setdefault(signal.key, Head(key=signal.key))
        self._make_room(now)
        verdicts = self._rule(now).apply_all(self._world, signals)
        self._events += _events(delivered, signals, verdicts)
        self._settle((verdict.incident_id for verdict in verdicts.values() if verdict.incident_id is not None), now)
        if self._timeout_s is not None and signals:
            due = now + timedelta(seconds=self._timeout_s)
            self._first_due = min(due, self._first_due or due)

    def end(self) -> Rehearsal:
        """The world as it is now."""
        return Rehearsal(
            events=self._events,
            alerts=[_alert(alert) for alert in self._alerts.values()],
            incidents=[_incident(incident) for incident in self._world.incidents.values()],
        )

    def _rule(self, now: datetime) -> Correlation:
        return Correlation(
            source_name=self._source.name,
            new_id=lambda: UUID(int=next(self._ids)),
            expires_at=now + timedelta(seconds=self._timeout_s) if self._timeout_s is not None else None,
            reopen_window=self._reopen_window,
            storm=self._source.storm,
        )

    def _expire(self, now: datetime) -> None:
        """End what was not seen for too long, where anything can be due."""
        if self._first_due is None or now < self._first_due:
            return
        ended = expire(self._world, now=now)
        self._settle((alert.incident_id for alert in ended), now)
        firing = (head.alert for head in self._world.heads.values() if head.alert is not None and head.alert.is_firing)
        self._first_due = min((alert.expires_at for alert in firing if alert.expires_at is not None), default=None)

    def _make_room(self, now: datetime) -> None:
        """Say how much may still be opened, as of now, and end a storm that has blown over; of one source there is no more."""
        world, rule = self._world, self._source.storm
        world.now = now
        world.groups.setdefault(FLOOD_GROUP, None)
        while self._opened and self._opened[0][0] <= now - rule.window:
            self._opened.popleft()
        opened, p0_opened = len(self._opened), sum(severity is Severity.P0 for _, severity in self._opened)
        world.room = Room.under(
            rule, open_now=len(self._open), opened=opened, p0_opened=p0_opened, tenant_opened=opened
        )
        for storm in world.storms.values():
            if storm.is_active and is_over(busy_at=storm.busy_at, quiet=rule.quiet, now=now):
                storm.end(now)
        world.raging = frozenset(storm.group for storm in world.storms.values() if storm.is_active)

    def _settle(self, touched: Iterable[UUID], now: datetime) -> None:
        """Forget what belongs to the batch, as storing and loading again would."""
        world = self._world
        for alert in world.new_alerts:
            self._alerts[alert.id] = alert
            alert.is_new = False
        for incident_id in touched:
            incident = world.incidents[incident_id]
            if incident.is_new:
                self._opened.append((now, incident.severity))
            incident.is_new = False
            incident.happened.clear()
            (self._open.add if incident.is_open else self._open.discard)(incident_id)
        for storm in world.storms.values():
            storm.is_new = storm.begins = False
        for batch in (world.new_alerts, world.past_alerts, world.notes, world.tickets, world.changed_groups):
            batch.clear()


def _events(
    delivered: Delivered, signals: Sequence[Signal], verdicts: Mapping[int, Verdict]
) -> Iterator[RehearsedEvent]:
    for index, signal in enumerate(signals):
        verdict = verdicts[index]
        yield RehearsedEvent(
            delivery_id=delivered.delivery_id,
            index=index,
            dedup_key=signal.key,
            status=signal.status,
            severity=signal.severity,
            title=signal.title,
            at=signal.at,
            group_key=signal.group_key,
            group_labels=signal.group_labels,
            outcome=verdict.outcome,
            alert=verdict.alert_id,
            incident=verdict.incident_id,
        )


def _alert(alert: Alert) -> RehearsedAlert:
    return RehearsedAlert(
        id=alert.id,
        incident=alert.incident_id,
        dedup_key=alert.key,
        status=alert.status,
        severity=alert.severity,
        title=alert.title,
        count=alert.count,
    )


def _incident(incident: Incident) -> RehearsedIncident:
    return RehearsedIncident(
        id=incident.id,
        title=incident.title,
        state=incident.state,
        severity=incident.severity,
        group_key=incident.group_key,
    )
