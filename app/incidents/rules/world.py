"""The part of a tenant's state that one batch of signals can touch, as plain values that the rules change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.incidents.rules.flood import Room
from app.incidents.rules.signals import Order
from app.incidents.rules.states import OPEN_STATES, AlertOutcome, AlertStatus, IncidentState, Severity, worst
from app.incidents.rules.storm import Storm


@dataclass(kw_only=True)
class Alert:
    """One episode of an alert: from its firing to its resolve.

    Attributes:
        started_at: Event time of the firing that began the episode.
        last_event_at: Event time of the newest signal applied to it.
        expires_at: When it counts as over unless the sender speaks again; None is never.
        count: Firings seen, repeats and late ones included.
        ticket_announced: Its ticket's creation was stated already.
    """

    id: UUID
    key: str
    incident_id: UUID
    status: AlertStatus
    severity: Severity
    raw_severity: str
    title: str
    name: str
    description: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    links: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]
    ticket: Mapping[str, str] | None
    started_at: datetime
    last_event_at: datetime
    first_seen_at: datetime
    last_seen_at: datetime
    expires_at: datetime | None = None
    resolved_at: datetime | None = None
    resolve_reason: str | None = None
    count: int = 1
    late_count: int = 0
    ticket_announced: bool = False
    last_delivery_id: UUID | None = None
    is_new: bool = False
    is_changed: bool = False

    @property
    def is_firing(self) -> bool:
        return self.status is AlertStatus.FIRING


@dataclass(kw_only=True)
class Head:
    """What is remembered of a dedup key for good: its newest signal, and its newest episode.

    A resolve that comes before any firing lives only here: it makes no alert and no incident, but a firing that is
    older than it stays without effect.
    """

    key: str
    order: Order | None = None
    status: AlertStatus | None = None
    alert: Alert | None = None
    is_changed: bool = False


@dataclass(kw_only=True)
class Incident:
    """An incident as far as alerts move it.

    Attributes:
        open_alerts: How many of its alerts fire, by severity.
        resolved_by: Who ended it, for the reason of a firing that comes too late.
        number: Its number for people; 0 until it is stored.
        happened: What this batch did to it, in order.
    """

    id: UUID
    state: IncidentState
    severity: Severity
    title: str
    group_key: str
    group_labels: Mapping[str, str]
    labels: Mapping[str, str]
    started_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    open_alerts: Counter[Severity] = field(default_factory=Counter)
    number: int = 0
    is_new: bool = False
    alert_name: str = ""
    first_title: str = ""
    alert_count: int = 0
    ticket: Mapping[str, str] | None = None
    happened: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_changed(self) -> bool:
        return bool(self.happened)

    def reopen(self) -> None:
        """This will put it back to open, as if nobody had acknowledged or ended it."""
        self.state = IncidentState.OPEN
        self.acknowledged_at = self.acknowledged_by = self.resolved_at = self.resolved_by = None

    def worst_open(self) -> Severity | None:
        """This will return the worst severity among the alerts that fire."""
        return worst(severity for severity, count in self.open_alerts.items() if count > 0)

    def has_open_alerts(self) -> bool:
        return any(count > 0 for count in self.open_alerts.values())


@dataclass(kw_only=True)
class Note:
    """A line for an incident's timeline; several alike in a row become one.

    Attributes:
        origin: Set where the line repeats a word of the sender's, which no delivery can make it repeat again.
    """

    incident_id: UUID
    kind: str
    summary: str
    reason: str
    data: dict[str, Any] = field(default_factory=dict)
    alerts: list[tuple[UUID, str]] = field(default_factory=list)
    origin: str | None = None


@dataclass(frozen=True, kw_only=True)
class TicketFact:
    """A ticket whose creation has not been stated before."""

    incident_id: UUID
    ticket: Mapping[str, str]
    title: str
    description: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one signal, and why."""

    alert_id: UUID | None
    incident_id: UUID | None
    outcome: AlertOutcome
    reason: str


@dataclass(kw_only=True)
class World:
    """Everything that was locked for a batch, and what the rules added to it.

    Attributes:
        heads: By dedup key; holds a head for each key of the batch.
        groups: The newest incident of each group of the batch, by group key.
        incidents: By id; holds each incident that a head's alert or a group refers to.
        room: How many incidents may still be opened before what comes on top is a flood (``flood.py``).
        storms: The storms of those incidents that are storms', by incident.
        raging: The groups of the storms that go on.
        now: When the batch is applied; None takes the time of each delivery.
        repeated: Which of the sender's words the timelines repeat already: (origin, kind of line).
    """

    heads: dict[str, Head]
    groups: dict[str, UUID | None]
    incidents: dict[UUID, Incident]
    room: Room = field(default_factory=Room)
    storms: dict[UUID, Storm] = field(default_factory=dict)
    raging: frozenset[str] = frozenset()
    now: datetime | None = None
    repeated: set[tuple[str, str]] = field(default_factory=set)
    changed_groups: set[str] = field(default_factory=set)
    new_alerts: list[Alert] = field(default_factory=list)
    past_alerts: list[Alert] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    tickets: list[TicketFact] = field(default_factory=list)

    def flood_for(self, severity: Severity) -> str | None:
        """This will return the group of the storm that takes a new alert in, or None where it gets its own incident."""
        group = self.room.flood(raging=self.raging)
        # A group that was not locked takes nothing: how full it gets then is bounded by the batches that run at once.
        if group is None or group not in self.groups or self.room.spares(severity):
            return None
        return group

    def note(self, note: Note) -> None:
        """This will add a line, or extend the last one where it is the same thing about another alert.

        A storm's incident has no lines about single alerts: its timeline would grow as fast as the flood.
        """
        if note.alerts and note.incident_id in self.storms:
            return
        last = self.notes[-1] if self.notes else None
        if last and note.alerts and (last.incident_id, last.kind) == (note.incident_id, note.kind):
            last.alerts.extend(note.alerts)
        else:
            self.notes.append(note)

    def alerts_to_update(self) -> list[Alert]:
        """This will return the stored episodes that changed."""
        current = [head.alert for head in self.heads.values() if head.alert]
        return [alert for alert in (*self.past_alerts, *current) if alert.is_changed and not alert.is_new]
