"""From the alert events that parsers hand in to the signals that the rules understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.ids import DeliveryId
from app.incidents.rules.signals import (
    MAX_ANNOTATION_VALUE,
    MAX_DESCRIPTION,
    MAX_LABEL_VALUE,
    MAX_NOTE,
    MAX_TITLE,
    Signal,
    clean,
    clean_mapping,
    group_of,
    merge_warnings,
    normalise_dedup_key,
    origin_of,
    settle_severity,
    settle_status,
    settle_time,
)
from app.incidents.rules.states import ALERT_STATES
from app.incidents.schemas import AlertEvent, Link, SourceFacts, TicketRef

_MAX_LINKS = 20
_MAX_URL = 2_048


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One delivery's alert events.

    Attributes:
        seq: The delivery's place in the order of arrival; decides between events of the same time.
    """

    delivery_id: DeliveryId
    received_at: datetime
    seq: int
    events: Sequence[AlertEvent]


def to_signals(source: SourceFacts, delivered: Delivered) -> list[Signal]:
    """This will normalise a delivery's events; what cannot be used as said is replaced and warned about."""
    return [_to_signal(source, event, delivered=delivered, index=index) for index, event in enumerate(delivered.events)]


def _to_signal(source: SourceFacts, event: AlertEvent, *, delivered: Delivered, index: int) -> Signal:
    labels = clean_mapping(event.labels, value_limit=MAX_LABEL_VALUE)
    title = clean(event.title.strip(), MAX_TITLE) or "(untitled)"
    key = normalise_dedup_key(event.dedup_key, title=title, labels=labels)
    group_key, group_labels = group_of(
        key=key,
        labels=labels,
        sender_group=clean_mapping(event.group, value_limit=MAX_LABEL_VALUE),
        group_by=source.group_by,
    )
    status, ended_at = settle_status(event.status, valid_until=event.ends_at, received_at=delivered.received_at)
    at, time_warning = settle_time(event.event_time, delivered.received_at)
    severity, severity_warning = settle_severity(
        given=event.severity,
        raw=event.raw_severity,
        severity_map=source.severity_map,
        default=source.default_severity,
    )
    return Signal(
        key=key,
        group_key=group_key,
        group_labels=group_labels,
        status=status,
        order=(at, delivered.seq, index),
        received_at=delivered.received_at,
        started_at=min(settle_time(event.starts_at, at)[0], at),
        severity=severity,
        raw_severity=clean(event.raw_severity, 200),
        title=title,
        name=labels.get("alertname") or title,
        description=clean(event.description, MAX_DESCRIPTION),
        labels=labels,
        annotations=clean_mapping(event.annotations, value_limit=MAX_ANNOTATION_VALUE),
        links=_links(event.links),
        ticket=_ticket(event.ticket) if event.ticket else None,
        warnings=merge_warnings(event.warnings, (time_warning, severity_warning)),
        note=clean(event.note.strip(), MAX_NOTE),
        origin=origin_of(delivery_id=delivered.delivery_id, index=index, key=key) if _speaks(event) else "",
        ended_at=ended_at,
    )


def _speaks(event: AlertEvent) -> bool:
    """Whether the event is more than a state, which its order alone keeps from counting twice."""
    return bool(event.note) or event.status not in ALERT_STATES


def _links(links: Sequence[Link]) -> tuple[Mapping[str, str], ...]:
    kept = (link for link in links if link.url.lower().startswith(("http://", "https://")))
    return tuple({"title": clean(link.title, 200), "url": clean(link.url, _MAX_URL)} for link in kept)[:_MAX_LINKS]


def _ticket(ticket: TicketRef) -> dict[str, str]:
    return {
        "system": clean(ticket.system, 60),
        "external_id": clean(ticket.external_id, 200),
        "url": clean(ticket.url, _MAX_URL),
        "requester": clean(ticket.requester, 300),
        "event": clean(ticket.event, 60),
    }
