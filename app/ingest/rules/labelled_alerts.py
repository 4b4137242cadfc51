"""Alerts in Prometheus' shape, labels and annotations: what Alertmanager, Prometheus itself and Grafana send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import ParseError, check_count, json_type
from app.ingest.rules import values
from app.ingest.rules.fields import compound_key

_SUMMARIES = ("summary", "title", "message")
_DESCRIPTIONS = ("description", "message", "summary")
_STATUSES = {"firing": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}


def alerts_of(found: object, *, what: str) -> list[dict[str, Any]]:
    """This will return the alerts of a list.

    Raises:
        ParseError: It is no list, too long a one, or nothing in it is an object.
    """
    if not isinstance(found, list):
        raise ParseError("body.unexpected_shape", f"{what} is {json_type(found)}, a list was expected")
    check_count(len(found))
    alerts = [entry for entry in found if isinstance(entry, dict)]
    if found and not alerts:
        raise ParseError("body.unexpected_shape", f"no entry of {what} is an object")
    return alerts


def status_of(alert: Mapping[str, Any], payload: Mapping[str, Any], warnings: list[str]) -> AlertStatus:
    """This will return the alert's own status, else its notification's, else firing with a warning."""
    for said in (alert.get("status"), payload.get("status")):
        known = _STATUSES.get(said) if isinstance(said, str) else None
        if known is not None:
            return known
        if said is not None:
            warnings.append(f"status {values.one_line(said, limit=40)!r} is not known")
    warnings.append("no usable status: taken as firing")
    return AlertStatus.FIRING


def labelled_event(
    alert: Mapping[str, Any],
    *,
    status: AlertStatus,
    warnings: list[str],
    links: tuple[tuple[str, object], ...] = (),
    group: Mapping[str, str] | None = None,
) -> AlertEvent:
    """This will return the event of one alert.

    Args:
        alert: With ``labels``, ``annotations``, ``startsAt``, ``endsAt``, perhaps ``fingerprint``.
        status: As the sender has it.
        warnings: What was bent so far; more are added.
        links: Besides those that the annotations hold.
        group: The sender's own group labels.
    """
    labels = values.clean_mapping(alert.get("labels"))
    annotations = values.clean_mapping(alert.get("annotations"), value_limit=values.ANNOTATION_MAX)
    warnings += _left_out(alert)
    starts_at = values.parse_time(alert.get("startsAt"))
    # While an alert fires, endsAt is zero or the time at which it would lapse: no end.
    ends_at = values.parse_time(alert.get("endsAt")) if status is AlertStatus.RESOLVED else None
    if status is AlertStatus.RESOLVED and ends_at is None:
        warnings.append("resolved without endsAt: the time of delivery counts")
    return AlertEvent(
        dedup_key=_dedup_key(alert.get("fingerprint"), labels),
        status=status,
        title=_title(labels, annotations),
        description=values.clean_text(_first(annotations, _DESCRIPTIONS), limit=values.DESCRIPTION_MAX),
        raw_severity=labels.get("severity") or labels.get("priority", ""),
        event_time=starts_at if status is AlertStatus.FIRING else ends_at,
        starts_at=starts_at,
        ends_at=ends_at,
        labels=labels,
        annotations=annotations,
        links=values.links(
            ("Runbook", annotations.get("runbook_url")),
            ("Dashboard", annotations.get("dashboard_url") or annotations.get("dashboard")),
            *links,
        ),
        group=group or {},
        warnings=tuple(warning[: values.WARNING_MAX] for warning in warnings),
    )


def _left_out(alert: Mapping[str, Any]) -> Iterator[str]:
    for what in ("labels", "annotations"):
        yield from values.mapping_warnings(alert.get(what), what=what)


def _dedup_key(fingerprint: object, labels: Mapping[str, str]) -> str:
    """The fingerprint, or a digest of the labels in the order of their names."""
    if isinstance(fingerprint, str) and fingerprint.strip():
        return values.clean_text(fingerprint.strip(), limit=4096)
    return compound_key("labels", *(part for name in sorted(labels) for part in (name, labels[name])))


def _title(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    name = labels.get("alertname", "")
    summary = _first(annotations, _SUMMARIES)
    title = summary or " on ".join(part for part in (name, labels.get("instance", "")) if part)
    return values.one_line(title) or "Alert without a name"


def _first(mapping: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((mapping[name] for name in names if mapping.get(name)), "")
