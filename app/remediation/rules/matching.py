"""Which rule applies to which incident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.incidents.schemas import IncidentView


@dataclass(frozen=True, kw_only=True)
class IncidentFacts:
    """What rules and runbooks see of an incident; frozen into the plan."""

    id: str
    title: str
    severity: str
    alert_name: str
    source: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, incident: IncidentView) -> IncidentFacts:
        """This will return what they see of this one."""
        return cls(
            id=str(incident.id),
            title=incident.title,
            severity=incident.severity.value,
            alert_name=incident.alert_name,
            source=incident.source_kind,
            labels=incident.labels,
        )

    def as_values(self) -> dict[str, Any]:
        """This will return the names that ``incident.`` offers."""
        return {
            "id": self.id,
            "title": self.title,
            "severity": self.severity,
            "alert_name": self.alert_name,
            "source": self.source,
            "labels": dict(self.labels),
        }


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """All that are given must hold; within one, any value will do."""

    alert: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    source: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Criteria:
        alert = value.get("alert") or ()
        return cls(
            alert=(alert,) if isinstance(alert, str) else tuple(alert),
            severity=tuple(value.get("severity") or ()),
            source=value.get("source") or "",
            labels=value.get("labels") or {},
        )

    @property
    def is_empty(self) -> bool:
        return not (self.alert or self.severity or self.source or self.labels)

    def mismatch(self, incident: IncidentFacts) -> str | None:
        """This will say why the incident does not match, or None where it does."""
        if self.alert and incident.alert_name not in self.alert:
            return f"the alert is {incident.alert_name!r}"
        if self.severity and incident.severity not in self.severity:
            return f"the severity is {incident.severity}"
        if self.source and incident.source != self.source:
            return f"the source is {incident.source!r}"
        for name, value in self.labels.items():
            if incident.labels.get(name) != value:
                return f"the label {name!r} is {incident.labels.get(name)!r}"
        return None
