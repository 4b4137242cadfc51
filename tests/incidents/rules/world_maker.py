"""A world in memory for the rules' tests: what the service would have locked and loaded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.incidents.rules.correlate import Correlation
from app.incidents.rules.signals import Signal
from app.incidents.rules.states import AlertStatus, Severity
from app.incidents.rules.world import Head, Incident, Verdict, World

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def signal(at: float, *, key: str = "a", group: str | None = None, seq: int = 0, **changes: Any) -> Signal:
    """This will return a firing at ``at`` minutes."""
    values: dict[str, Any] = {
        "key": key,
        "group_key": f"labels:{group}" if group else f"alert:{key}",
        "group_labels": {"group": group} if group else {},
        "status": AlertStatus.FIRING,
        "order": (minute(at), seq, 0),
        "received_at": minute(at),
        "started_at": minute(at),
        "severity": Severity.P2,
        "raw_severity": "",
        "title": f"alert {key}",
        "name": key,
        "labels": {"alertname": key},
    }
    return Signal(**(values | changes))


def resolve(at: float, **changes: Any) -> Signal:
    """This will return a resolve at ``at`` minutes."""
    return signal(at, status=AlertStatus.RESOLVED, **changes)


class Desk:
    """Applies batches to one lasting world, as a series of transactions would."""

    def __init__(self, **rule: Any) -> None:
        numbers = itertools.count(1)
        self.rule = Correlation(source_name="probe", new_id=lambda: UUID(int=next(numbers)), **rule)
        self.world = World(heads={}, groups={}, incidents={})

    def apply(self, *signals: Signal) -> list[Verdict]:
        """This will apply the signals as one batch; their verdicts come back in the order given."""
        for one in signals:
            self.world.heads.setdefault(one.key, Head(key=one.key))
            self.world.groups.setdefault(one.group_key, None)
        verdicts = self.rule.apply_all(self.world, signals)
        self.settle()
        return [verdicts[position] for position in range(len(signals))]

    def settle(self) -> None:
        """This will forget what was new, as storing and loading again does."""
        self.world.new_alerts.clear()
        self.world.past_alerts.clear()
        for head in self.world.heads.values():
            head.is_changed = False
            if head.alert:
                head.alert.is_new = head.alert.is_changed = False
        for incident in self.world.incidents.values():
            incident.is_new = False
            incident.happened.clear()

    def live(self, signals: Iterable[Signal]) -> tuple[list[str], AlertStatus | None, list[str]]:
        """This will apply signals about one alert one by one, and return what became of each, the alert and the incidents."""
        verdicts = [self.apply(one)[0] for one in signals]
        assert all(verdict.reason for verdict in verdicts)
        states = [str(incident.state) for incident in self.world.incidents.values()]
        return [str(verdict.outcome) for verdict in verdicts], self.status(), states

    def status(self, key: str = "a") -> AlertStatus | None:
        return self.world.heads[key].status

    def incident(self, key: str = "a") -> Incident:
        alert = self.world.heads[key].alert
        assert alert is not None
        return self.world.incidents[alert.incident_id]

    def open_incidents(self) -> list[Incident]:
        return [incident for incident in self.world.incidents.values() if incident.is_open]

    def kinds(self) -> list[str]:
        """The timeline's kinds so far, in order."""
        return [note.kind for note in self.world.notes]
