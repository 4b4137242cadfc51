"""Prometheus Alertmanager's webhook, payload version 4.

Source: Alertmanager 0.34, ``notify/webhook`` and ``template.Data``, read 2026-11. Per alert: ``status``, ``labels``,
``annotations``, ``startsAt``, ``endsAt`` (year 1 or in the future while firing), ``generatorURL``, ``fingerprint``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, ParseError, check_count, json_type, load_object
from app.ingest.rules import values

_REPLAY_WINDOW_S = 60
_SUMMARIES = ("summary", "title", "message")
_DESCRIPTIONS = ("description", "message", "summary")
_STATUSES = {"firing": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}


class AlertmanagerConfig(BaseModel):
    """What a tenant may set for an Alertmanager source.

    Attributes:
        replay_window_s: How long identical bytes count as the same notification sent again. Alertmanager numbers
            nothing, and a repeat says the same as before: after this time it counts as a repeat and bumps the alerts.
            Applying one twice changes nothing else, so this may be short.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    replay_window_s: int = Field(_REPLAY_WINDOW_S, ge=1, le=86_400)


def parse(body: bytes, headers: Mapping[str, str], config: AlertmanagerConfig) -> list[AlertEvent]:
    """This will return one event per alert of the notification, none for an empty one.

    Raises:
        ParseError: No JSON object, no list of alerts, or too many of them.
    """
    payload = load_object(body)
    alerts = payload.get("alerts")
    if not isinstance(alerts, list):
        raise ParseError("body.unexpected_shape", f"'alerts' is {json_type(alerts)}, a list was expected")
    check_count(len(alerts))
    notes = tuple(_payload_warnings(payload))
    group = values.clean_mapping(payload.get("groupLabels"))
    events: list[AlertEvent] = []
    for alert in alerts:
        if isinstance(alert, dict):
            # What concerns the whole notification is said once, with its first alert.
            events.append(_event(alert, payload, group, () if events else notes))
    if alerts and not events:
        raise ParseError("body.unexpected_shape", "no entry of 'alerts' is an object")
    return events


def _payload_warnings(payload: Mapping[str, Any]) -> list[str]:
    notes: list[str] = []
    version = payload.get("version")
    if version != "4":
        notes.append(f"payload version {values.one_line(version, limit=20) or 'missing'}: read as version 4")
    if not payload.get("groupKey"):
        notes.append("groupKey is missing")
    truncated = payload.get("truncatedAlerts")
    if isinstance(truncated, int) and truncated > 0:
        # Absence says nothing: an alert that is not listed may well be firing on.
        notes.append(f"{truncated} more alerts were cut off by the sender (max_alerts); none is taken as resolved")
    alerts = payload["alerts"]
    odd = sum(1 for alert in alerts if not isinstance(alert, dict))
    if odd:
        notes.append(f"{odd} entries of 'alerts' are no objects and were left out")
    return notes


def _event(
    alert: Mapping[str, Any], payload: Mapping[str, Any], group: dict[str, str], notes: tuple[str, ...]
) -> AlertEvent:
    warnings = list(notes)
    labels = values.clean_mapping(alert.get("labels"))
    annotations = values.clean_mapping(alert.get("annotations"), value_limit=values.ANNOTATION_MAX)
    warnings += values.mapping_warnings(alert.get("labels"), what="labels")
    warnings += values.mapping_warnings(alert.get("annotations"), what="annotations")
    status = _status(alert, payload, warnings)
    starts_at = values.parse_time(alert.get("startsAt"))
    # While an alert fires, endsAt is zero or the time at which it would lapse: no end.
    ends_at = values.parse_time(alert.get("endsAt")) if status is AlertStatus.RESOLVED else None
    if status is AlertStatus.RESOLVED and ends_at is None:
        warnings.append("resolved without endsAt: the time of delivery counts")
    return AlertEvent(
        dedup_key=_dedup_key(alert, labels),
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
            ("Query", alert.get("generatorURL")),
            ("Alertmanager", payload.get("externalURL")),
        ),
        group=group,
        warnings=tuple(warning[: values.WARNING_MAX] for warning in warnings),
    )


def _status(alert: Mapping[str, Any], payload: Mapping[str, Any], warnings: list[str]) -> AlertStatus:
    for said in (alert.get("status"), payload.get("status")):
        known = _STATUSES.get(said) if isinstance(said, str) else None
        if known is not None:
            return known
        if said is not None:
            warnings.append(f"status {values.one_line(said, limit=40)!r} is not known")
    warnings.append("no usable status: taken as firing")
    return AlertStatus.FIRING


def _dedup_key(alert: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """This will return the fingerprint, or a digest of the labels in the order of their names."""
    fingerprint = alert.get("fingerprint")
    if isinstance(fingerprint, str) and fingerprint.strip():
        return values.clean_text(fingerprint.strip(), limit=4096)
    digest = hashlib.sha256()
    for name in sorted(labels):
        for part in (name, labels[name]):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"labels:{digest.hexdigest()[:32]}"


def _title(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    name = labels.get("alertname", "")
    summary = _first(annotations, _SUMMARIES)
    title = summary or " on ".join(part for part in (name, labels.get("instance", "")) if part)
    return values.one_line(title) or "Alert without a name"


def _first(mapping: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((mapping[name] for name in names if mapping.get(name)), "")


SOURCE = AlertSource(
    slug="alertmanager",
    title="Prometheus Alertmanager",
    profile="bearer",  # Alertmanager cannot sign; a bearer token in its http_config is the strongest plain choice
    config_model=AlertmanagerConfig,
    replay_window_s=_REPLAY_WINDOW_S,
    parse=parse,
    example={
        "version": "4",
        "status": "firing",
        "groupKey": '{}:{alertname="TocsinTest"}',
        "groupLabels": {"alertname": "TocsinTest"},
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "TocsinTest", "severity": "info"},
                "annotations": {"summary": "A first notification"},
                "startsAt": "2026-01-05T12:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
            }
        ],
    },
    max_body_bytes=10_485_760,
    document="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
    document_date="2026-11",
    setup="In alertmanager.yml add a receiver with webhook_configs: the address as url, the secret as "
    "http_config.authorization.credentials, timeout: 10s and max_alerts: 1000.",
)
