"""Prometheus Alertmanager's webhook, payload version 4.

Source: Alertmanager 0.34, ``notify/webhook`` and ``template.Data``, read 2026-11. Per alert: ``status``, ``labels``,
``annotations``, ``startsAt``, ``endsAt`` (year 1 or in the future while firing), ``generatorURL``, ``fingerprint``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, load_object
from app.ingest.rules import values
from app.ingest.rules.labelled_alerts import alerts_of, labelled_event, status_of

_REPLAY_WINDOW_S = 60


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
    alerts = alerts_of(payload.get("alerts"), what="'alerts'")
    notes = _payload_warnings(payload)
    group = values.clean_mapping(payload.get("groupLabels"))
    events: list[AlertEvent] = []
    for alert in alerts:
        # What concerns the whole notification is said once, with its first alert.
        warnings = [] if events else notes
        links = (("Query", alert.get("generatorURL")), ("Alertmanager", payload.get("externalURL")))
        status = status_of(alert, payload, warnings)
        events.append(labelled_event(alert, status=status, warnings=warnings, links=links, group=group))
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
