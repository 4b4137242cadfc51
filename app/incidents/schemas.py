"""The values that cross the boundary of this domain: what sources hand in and what callers get back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.ids import AlertId, IncidentId, SourceId
from app.incidents.rules.flood import StormRule
from app.incidents.rules.states import AlertOutcome, AlertState, AlertStatus, IncidentState, Severity

__all__ = [
    "AlertEvent",
    "AlertOutcome",
    "AlertState",
    "AlertStatus",
    "AlertView",
    "AppliedAlert",
    "AssignRequest",
    "IncidentState",
    "IncidentView",
    "Link",
    "NoteRequest",
    "PlainText",
    "ReasonRequest",
    "Severity",
    "SourceFacts",
    "StormRule",
    "StormView",
    "TicketRef",
    "TimelineEntryView",
]


@dataclass(frozen=True)
class Link:
    """A link that the sender gave along; only http and https are kept."""

    title: str
    url: str


@dataclass(frozen=True)
class TicketRef:
    """The ticket behind an alert event.

    Attributes:
        system: The desk's slug, ``servicedesk``.
        external_id: The ticket's id there.
        event: What happened to the ticket: ``created``, ``updated`` or ``closed``.
    """

    system: str
    external_id: str
    url: str = ""
    requester: str = ""
    event: str = "created"


@dataclass(frozen=True, kw_only=True)
class AlertEvent:
    """One thing that a sender said about one alert, as the source's parser understood it.

    Attributes:
        dedup_key: The alert's identity within its source, raw; long ones are hashed on the way in.
        title: Up to 500 code points; longer ones are cut with an ellipsis.
        description: Up to 16,384 code points.
        severity: None leaves it to the source's severity map and default.
        raw_severity: What the sender called it.
        event_time: The sender's time of this state; None stands for the time of delivery.
        ends_at: When it ended. Of a firing alert: until when the sender's word holds, for senders that have no word for
            the end; one whose time was past when it arrived says that the alert is over.
        group: The sender's own group labels, used where the source declares no grouping labels.
        note: What somebody wrote over there; goes to the timeline of the alert's incident, up to 20,000 code points.
        warnings: What the parser had to bend to make sense of the payload.
    """

    dedup_key: str
    status: AlertStatus
    title: str
    description: str = ""
    severity: Severity | None = None
    raw_severity: str = ""
    event_time: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    ticket: TicketRef | None = None
    group: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What this domain has to know about the source that an alert came through.

    Attributes:
        severity_map: From the sender's word, lower case, to a severity.
        group_by: Labels that make one incident of several alerts; empty leaves it to the sender's group.
        resolve_timeout_s: Seconds without a sign of life after which an open alert resolves; None is never.
        storm: What counts as a flood of it.
    """

    id: SourceId
    kind: str
    name: str
    severity_map: Mapping[str, Severity] = field(default_factory=dict)
    default_severity: Severity = Severity.P2
    group_by: tuple[str, ...] = ()
    resolve_timeout_s: int | None = None
    storm: StormRule = field(default_factory=StormRule)


@dataclass(frozen=True, kw_only=True)
class AppliedAlert:
    """What became of one alert event, in the order of the events handed in.

    Attributes:
        alert_id: None where the event touched no alert, as a resolve before any firing.
        reason: Why, in a sentence for the receipt.
    """

    alert_id: AlertId | None
    incident_id: IncidentId | None
    outcome: AlertOutcome
    reason: str


class _View(BaseModel):
    """A row as callers see it; the tenant is theirs and is not repeated."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class IncidentView(_View):
    """One incident.

    Attributes:
        number: Counts up within the tenant, for people.
        started_at: When it began, by the sender's clock; ``created_at`` is when it was opened here.
        labels: What its first alerts have in common.
        ticket: The ticket that it came from.
    """

    id: UUID
    number: int
    title: str
    state: IncidentState
    severity: Severity
    source_id: UUID
    source_kind: str
    source_name: str
    alert_name: str
    labels: dict[str, str]
    group_labels: dict[str, str]
    assignee: str | None
    ticket: dict[str, str] | None
    started_at: datetime
    created_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None


class AlertView(_View):
    """One episode of an alert, from its firing to its resolve.

    Attributes:
        dedup_key: The alert's identity within its source, as stored.
        name: The label ``alertname`` where there is one, else the title.
        count: Firings seen, repeats included.
        late_count: Events that came too late to matter.
        expires_at: When it counts as over unless its sender speaks again; null is never.
    """

    id: UUID
    incident_id: UUID
    source_id: UUID
    dedup_key: str
    status: AlertState
    severity: Severity
    raw_severity: str
    title: str
    name: str
    description: str
    labels: dict[str, str]
    annotations: dict[str, str]
    links: list[dict[str, str]]
    warnings: list[str]
    ticket: dict[str, str] | None
    started_at: datetime
    last_event_at: datetime
    first_seen_at: datetime
    last_seen_at: datetime
    expires_at: datetime | None
    resolved_at: datetime | None
    resolve_reason: str | None
    count: int
    late_count: int
    first_delivery_id: UUID | None
    last_delivery_id: UUID | None


class LabelCount(_View):
    """How many alerts of a storm have a label's value."""

    value: str
    count: int


class TopLabel(_View):
    """The values of one label among a storm's alerts, most first; ``other`` is how many alerts have further ones."""

    label: str
    values: list[LabelCount]
    other: int


class StormView(_View):
    """What a storm's incident took in; the counts are exact.

    Attributes:
        source_id: Whose flood; null where all of the tenant's sources together flooded.
        ended_at: Null while it goes on.
        busy_at: When the flood was last seen to go on.
        times: How often a flood went into this incident.
        collapsed: Alerts that belong to the incident.
        firing: Those that still fire, by severity.
    """

    incident_id: UUID
    source_id: UUID | None
    began_at: datetime
    ended_at: datetime | None
    busy_at: datetime
    times: int
    collapsed: int
    firing: dict[Severity, int]
    resolved: int
    top: list[TopLabel]


class TimelineEntryView(_View):
    """One line of an incident's history: who or what did what, and why."""

    id: UUID
    incident_id: UUID
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    kind: str
    summary: str
    reason: str
    data: dict[str, Any]


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    return text


PlainText = Annotated[str, AfterValidator(_storable)]
"""Text that PostgreSQL can store and compare."""


class _Request(BaseModel):
    """A body; a field that it does not have is an error and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonRequest(_Request):
    """Why a step is taken."""

    reason: PlainText = Field("", max_length=2_000, description="Why; kept in the timeline and the audit trail.")


class AssignRequest(ReasonRequest):
    """Who takes an incident."""

    assignee: PlainText | None = Field(min_length=1, max_length=200, description="A name or address; null is nobody.")


class NoteRequest(ReasonRequest):
    """A note."""

    text: PlainText = Field(min_length=1, max_length=20_000, description="The note, plain text.")
