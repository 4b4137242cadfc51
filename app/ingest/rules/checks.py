"""Notifications about hosts and services as the family of Nagios makes them: Nagios, Icinga 2, Checkmk.

A notification has a kind (PROBLEM, RECOVERY, ACKNOWLEDGEMENT, FLAPPING..., DOWNTIME..., CUSTOM) and the state of what
it is about. A recovery during flapping or downtime is not notified, so the end of either is judged by the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, ParseError
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, said

CHECK_SEVERITIES: Mapping[str, Severity] = {
    **COMMON_SEVERITIES,
    "down": Severity.P1,
    "unreachable": Severity.P2,
    "unknown": Severity.P2,
    "flapping": Severity.P2,
    "ok": Severity.P3,
    "up": Severity.P3,
    "pending": Severity.P3,
}

_GOOD = frozenset({"OK", "UP"})
_BY_STATE = frozenset(
    {"PROBLEM", "FLAPPINGSTOP", "FLAPPINGEND", "FLAPPINGDISABLED"}
    | {"DOWNTIMEEND", "DOWNTIMECANCELLED", "DOWNTIMEREMOVED"}
)
_STATUSES = {
    "RECOVERY": AlertStatus.RESOLVED,
    "FLAPPINGSTART": AlertStatus.FIRING,
    "ACKNOWLEDGEMENT": AlertStatus.ACKNOWLEDGED,
    "DOWNTIMESTART": AlertStatus.NOTED,
    "CUSTOM": AlertStatus.NOTED,
}
_TOLD = {
    "ACKNOWLEDGEMENT": "Acknowledged",
    "DOWNTIMESTART": "Downtime began",
    "DOWNTIMEEND": "Downtime is over",
    "DOWNTIMECANCELLED": "Downtime was cancelled",
    "DOWNTIMEREMOVED": "Downtime was removed",
    "FLAPPINGSTART": "It flaps",
    "FLAPPINGSTOP": "It flaps no more",
    "FLAPPINGEND": "It flaps no more",
    "FLAPPINGDISABLED": "It is no longer watched for flapping",
    "CUSTOM": "Sent by hand",
}


@dataclass(frozen=True, kw_only=True)
class CheckNotification:
    """One notification about a host, or about a service on it.

    Attributes:
        kind: PROBLEM, RECOVERY and so on.
        service: Empty where it is about the host.
        state: OK, WARNING, CRITICAL, UNKNOWN, or UP, DOWN, UNREACHABLE.
        output: The check's own words, one line.
        details: More of them, any number of lines.
        changed_at: When the state became what it is.
        sent_at: When the notification was made.
        author: Who acknowledged, scheduled or sent, with a comment.
        shown_host: What people call the host, where that is not its name.
        shown_service: Likewise.
    """

    kind: str
    host: str
    service: str = ""
    state: str
    output: str = ""
    details: str = ""
    changed_at: datetime | None = None
    sent_at: datetime | None = None
    author: str = ""
    comment: str = ""
    shown_host: str = ""
    shown_service: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, object], ...] = ()


def check_event(notification: CheckNotification) -> AlertEvent:
    """This will return the event of a notification.

    Raises:
        ParseError: It names no host.
    """
    if not notification.host:
        raise ParseError("body.unexpected_shape", "the notification names no host")
    warnings: list[str] = []
    kind, state = notification.kind.upper(), notification.state.upper()
    status = _status(kind, state, warnings)
    over = status is AlertStatus.RESOLVED
    acts = status in (AlertStatus.FIRING, AlertStatus.RESOLVED)
    at = (notification.changed_at if acts else None) or notification.sent_at
    service, host = notification.service, notification.host
    return AlertEvent(
        dedup_key=f"{host}!{service}" if service else host,
        status=status,
        title=_title(notification, kind, state),
        description=description_of((notification.output, notification.details)),
        raw_severity="flapping" if kind == "FLAPPINGSTART" and state in _GOOD else state.lower(),
        event_time=at,
        starts_at=notification.changed_at if status is AlertStatus.FIRING else None,
        ends_at=at if over else None,
        labels=said({**notification.labels, "alertname": service or "Host state", "host": host, "service": service}),
        links=values.links(*notification.links),
        note=_note(notification, kind),
        warnings=bounded(warnings),
    )


def _status(kind: str, state: str, warnings: list[str]) -> AlertStatus:
    known = _STATUSES.get(kind)
    if known is not None:
        return known
    if kind not in _BY_STATE:
        warnings.append(f"the notification type {kind[:40]!r} is not known: judged by the state")
    if not state:
        warnings.append("no state: taken as a problem")
    return AlertStatus.RESOLVED if state in _GOOD else AlertStatus.FIRING


def _title(notification: CheckNotification, kind: str, state: str) -> str:
    host = notification.shown_host or notification.host
    service = notification.shown_service or notification.service
    what = f"{service} on {host}" if notification.service else f"Host {host}"
    verb = "flaps, last" if kind == "FLAPPINGSTART" else "is"
    told = f"{what} {verb} {state or 'in trouble'}"
    return values.one_line(f"{told}: {notification.output}" if notification.output else told)


def _note(notification: CheckNotification, kind: str) -> str:
    told = _TOLD.get(kind, "")
    if not told:
        return ""
    by = f" by {notification.author}" if notification.author else ""
    return f"{told}{by}: {notification.comment}" if notification.comment else f"{told}{by}"
