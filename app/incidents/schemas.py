"""The values that cross the boundary of this domain: what sources hand in and what callers get back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.core.ids import AlertId, IncidentId, SourceId
from app.incidents.rules.states import AlertStatus, IncidentState, Outcome, Severity

__all__ = [
    "AlertEvent",
    "AlertStatus",
    "AppliedAlert",
    "IncidentState",
    "Link",
    "Outcome",
    "Severity",
    "SourceFacts",
    "TicketRef",
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
        group: The sender's own group labels, used where the source declares no grouping labels.
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
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What this domain has to know about the source that an alert came through.

    Attributes:
        severity_map: From the sender's word, lower case, to a severity.
        group_by: Labels that make one incident of several alerts; empty leaves it to the sender's group.
        resolve_timeout_s: Seconds without a sign of life after which an open alert resolves; None is never.
    """

    id: SourceId
    kind: str
    name: str
    severity_map: Mapping[str, Severity] = field(default_factory=dict)
    default_severity: Severity = Severity.P2
    group_by: tuple[str, ...] = ()
    resolve_timeout_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class AppliedAlert:
    """What became of one alert event, in the order of the events handed in.

    Attributes:
        alert_id: None where the event touched no alert, as a resolve before any firing.
        reason: Why, in a sentence for the receipt.
    """

    alert_id: AlertId | None
    incident_id: IncidentId | None
    outcome: Outcome
    reason: str
