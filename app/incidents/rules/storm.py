"""What one storm took in: exact counts in bounded room, and when it was last seen to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.incidents.rules.flood import StormRule
from app.incidents.rules.signals import clean

MAX_LABELS = 12
MAX_VALUES = 20
MAX_VALUE = 120


@dataclass(kw_only=True)
class Top:
    """Counts of label values. A value is counted from its first alert on or never, so each count is exact.

    Attributes:
        values: Of each label, up to 20 values with how many alerts have it.
        other: Of each label, how many alerts have a value that came after the room was taken.
    """

    values: dict[str, dict[str, int]] = field(default_factory=dict)
    other: dict[str, int] = field(default_factory=dict)

    def count(self, labels: Mapping[str, str]) -> None:
        """This will count one alert."""
        if not self.values:
            self.values = {name: {} for name in sorted(labels)[:MAX_LABELS]}
        for name, known in self.values.items():
            if name not in labels:
                continue
            value = clean(labels[name], MAX_VALUE)
            if value in known or len(known) < MAX_VALUES:
                known[value] = known.get(value, 0) + 1
            else:
                self.other[name] = self.other.get(name, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """This will return it as it is stored."""
        return {"values": self.values, "other": self.other}


@dataclass(kw_only=True)
class Storm:
    """A storm incident's own state.

    Attributes:
        group: Whose flood: ``FLOOD_GROUP`` or ``TENANT_FLOOD``.
        busy_at: When the flood was last seen to go on.
        times: How often a flood went into this incident.
        collapsed: Alerts that belong to the incident.
        begins: This batch began it.
    """

    incident_id: UUID
    group: str
    began_at: datetime
    ended_at: datetime | None
    busy_at: datetime
    window_began_at: datetime
    window_count: int = 0
    times: int = 0
    collapsed: int = 0
    top: Top = field(default_factory=Top)
    is_new: bool = False
    begins: bool = False
    ends: bool = False
    milestone: int = 0

    @property
    def is_active(self) -> bool:
        return self.ended_at is None

    def begin(self, now: datetime) -> None:
        """This will begin it, anew where it had ended."""
        if not self.is_new:
            self.ended_at = None
        self.began_at = self.busy_at = self.window_began_at = now
        self.window_count = 0
        self.times += 1
        self.begins = True

    def take_in(self, labels: Mapping[str, str], *, rule: StormRule, now: datetime) -> None:
        """This will count one more alert, and see whether the flood goes on."""
        self.collapsed += 1
        self.top.count(labels)
        if now - self.window_began_at >= timedelta(seconds=rule.window_s):
            self.window_began_at, self.window_count = now, 0
        self.window_count += 1
        if self.window_count >= rule.goes_on_at:
            self.busy_at = max(self.busy_at, now)
        if self.collapsed >= 1000 and self.collapsed == 10 ** (len(str(self.collapsed)) - 1):
            self.milestone = self.collapsed

    def end(self, now: datetime) -> None:
        """This will end it; what it took in stays where it is."""
        self.ended_at, self.ends = now, True


def new_storm(*, incident_id: UUID, group: str, now: datetime) -> Storm:
    """This will return the storm of an incident that has none yet; it begins when it is told to."""
    return Storm(
        incident_id=incident_id,
        group=group,
        began_at=now,
        ended_at=None,
        busy_at=now,
        window_began_at=now,
        is_new=True,
    )


def is_over(*, busy_at: datetime, quiet: timedelta, now: datetime) -> bool:
    """This will say whether the flood has been gone for long enough."""
    return now - busy_at >= quiet
