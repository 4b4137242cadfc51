"""Facts about incidents. They are emitted in the transaction that made them true."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.core.ids import IncidentId, SourceId, TenantId
from app.incidents.schemas import Severity, TicketRef


@dataclass(frozen=True, kw_only=True)
class IncidentOpened:
    """A new incident exists.

    Attributes:
        labels: What its first alerts have in common, with the labels that grouped them.
        alert_name: The label ``alertname`` where there is one, else the title of the alert that opened it.
        ticket: The ticket that the incident came from.
    """

    incident_id: IncidentId
    tenant_id: TenantId
    title: str
    severity: Severity
    source_id: SourceId
    source_kind: str
    labels: dict[str, str] = field(default_factory=dict)
    alert_name: str = ""
    ticket: TicketRef | None = None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class IncidentUpdated:
    """Something about an incident changed.

    Attributes:
        what: ``acknowledged``, ``reopened``, ``assigned``, ``severity``, ``alerts``, ``note`` or ``storm``.
    """

    incident_id: IncidentId
    tenant_id: TenantId
    what: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class IncidentResolved:
    """An incident is over.

    Attributes:
        by: Who or what resolved it: the actor's kind and id, as ``token:...``, ``sender:...`` or ``system:...``.
    """

    incident_id: IncidentId
    tenant_id: TenantId
    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class StormBegan:
    """A source, or without one the whole tenant, floods: new alerts collapse into this incident from now on.

    Whoever pages does it once for the incident, however many alerts there are; ``IncidentOpened`` was stated for it too
    where it is new.

    Attributes:
        quiet_s: Seconds without a flood after which the storm is over.
    """

    incident_id: IncidentId
    tenant_id: TenantId
    source_id: SourceId | None
    quiet_s: float
    at: datetime


@dataclass(frozen=True, kw_only=True)
class StormEnded:
    """The flood is over: new alerts have incidents of their own again. The storm's incident ends with the last of its alerts.

    Attributes:
        collapsed: Alerts that the incident took in.
    """

    incident_id: IncidentId
    tenant_id: TenantId
    collapsed: int
    still_firing: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class TicketReceived:
    """A ticket was created at the desk and has an incident here; stated once for each ticket."""

    tenant_id: TenantId
    incident_id: IncidentId
    source_id: SourceId
    ticket: TicketRef
    title: str
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AlertsExpected:
    """Alerts of a source with a resolve time-out were seen firing; by ``due_at`` they are over unless seen again."""

    tenant_id: TenantId
    source_id: SourceId
    due_at: datetime
