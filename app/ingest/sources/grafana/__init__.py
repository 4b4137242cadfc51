"""Grafana Alerting's webhook contact point, and the payload of Grafana's legacy alerting.

Source: Grafana documentation, "Configure the webhook notifier for Alerting" (v12, read 2026-11): Alertmanager's
notification with ``values``, ``silenceURL``, ``dashboardURL``, ``panelURL`` and ``imageURL`` per alert. Legacy
alerting (up to v10, "Alert notifications", webhook): one rule with ``ruleId``, ``ruleName`` and a ``state`` of
``alerting``, ``no_data``, ``ok``, ``paused`` or ``pending``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import objects_at, prose_at, text_at
from app.ingest.rules.labelled_alerts import alerts_of, labelled_event, status_of

_REPLAY_WINDOW_S = 60
# Grafana's own alerts about a rule that could not be judged; the label rulename says which.
_BLIND = {"DatasourceNoData": "No data", "DatasourceError": "Data source error"}
_LEGACY = {
    "alerting": AlertStatus.FIRING,
    "no_data": AlertStatus.FIRING,
    "ok": AlertStatus.RESOLVED,
}
_LEGACY_QUIET = ("paused", "pending", "unknown")


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return one event per alert; nothing for the contact point's test and for a legacy rule that pauses.

    Raises:
        ParseError: Neither payload.
    """
    payload = load_object(body)
    if "alerts" not in payload and ("ruleId" in payload or "ruleName" in payload):
        return _legacy(payload)
    notes: list[str] = []
    truncated = payload.get("truncatedAlerts")
    if isinstance(truncated, int) and truncated > 0:
        notes.append(f"{truncated} more alerts were cut off by the sender; none is taken as resolved")
    group = values.clean_mapping(payload.get("groupLabels"))
    events = Events()
    for alert in alerts_of(payload.get("alerts"), what="'alerts'"):
        event = _event(alert, payload, group, [] if events else notes)
        # The test of a contact point is never resolved; an incident made of it would stay for ever.
        if event.labels.get("alertname") == "TestAlert" and event.labels.get("instance") == "Grafana":
            events.note("a test: no alert")
        else:
            events.append(event)
    return events


def _event(
    alert: Mapping[str, Any], payload: Mapping[str, Any], group: dict[str, str], warnings: list[str]
) -> AlertEvent:
    event = labelled_event(
        alert,
        status=status_of(alert, payload, warnings),
        warnings=warnings,
        links=(
            ("Rule", alert.get("generatorURL")),
            ("Dashboard", alert.get("dashboardURL")),
            ("Panel", alert.get("panelURL")),
            ("Picture", alert.get("imageURL")),
            ("Silence", alert.get("silenceURL")),
            ("Grafana", payload.get("externalURL")),
        ),
        group=group,
    )
    measured = _measured(alert)
    annotations = {**event.annotations, "values": measured} if measured else event.annotations
    blind = _BLIND.get(event.labels.get("alertname", ""))
    if blind is None:
        return replace(event, annotations=annotations)
    about = event.annotations.get("summary") or event.labels.get("rulename") or "a rule without a name"
    return replace(event, annotations=annotations, title=values.one_line(f"{blind}: {about}"))


def _measured(alert: Mapping[str, Any]) -> str:
    found = alert.get("values")
    if isinstance(found, dict) and found:
        pairs = values.clean_mapping(found, value_limit=100)
        return ", ".join(f"{name}={value}" for name, value in pairs.items())[: values.ANNOTATION_MAX]
    return text_at(alert, "valueString", limit=values.ANNOTATION_MAX)


def _legacy(payload: Mapping[str, Any]) -> list[AlertEvent]:
    state = text_at(payload, "state", limit=40).lower()
    if state in _LEGACY_QUIET:
        return Events(notes=[f"a legacy rule that is {state} neither fires nor is well"])
    status = _LEGACY.get(state)
    rule = text_at(payload, "ruleId", "ruleName")
    if status is None or not rule:
        raise ParseError("body.unexpected_shape", f"a legacy notification with the state {state!r} of rule {rule!r}")
    name = text_at(payload, "ruleName", "title") or f"Rule {rule}"
    matches = objects_at(payload, "evalMatches")[:20]
    measured = ", ".join(f"{text_at(match, 'metric')}={text_at(match, 'value')}" for match in matches)
    labels = values.clean_mapping(payload.get("tags"))
    return [
        AlertEvent(
            dedup_key=f"rule:{text_at(payload, 'orgId') or '1'}:{rule}",
            status=status,
            title=values.one_line(f"No data: {name}" if state == "no_data" else name),
            description=prose_at(payload, "message"),
            raw_severity=labels.get("severity") or ("no_data" if state == "no_data" else ""),
            labels={**labels, "alertname": name},
            annotations={"values": measured} if measured else {},
            links=values.links(("Rule", payload.get("ruleUrl")), ("Picture", payload.get("imageUrl"))),
        )
    ]


SOURCE = AlertSource(
    slug="grafana",
    title="Grafana Alerting",
    profile="grafana_timestamp",
    parse=parse,
    severities={**COMMON_SEVERITIES, "no_data": COMMON_SEVERITIES["warning"]},
    replay_window_s=_REPLAY_WINDOW_S,
    max_body_bytes=10_485_760,
    document="https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/"
    "integrations/webhook-notifier/",
    document_date="2026-11",
    setup="Under Alerting > Contact points add a webhook: the address as URL, POST, and under HMAC signature the "
    "secret, the header X-Grafana-Alerting-Signature and the timestamp header X-Grafana-Alerting-Timestamp (Grafana 12; "
    "an older one cannot sign: choose the profile bearer and set the authorization header). Its Test button makes "
    "no alert.",
    example={
        "receiver": "tocsin",
        "status": "firing",
        "groupLabels": {"alertname": "TocsinTest"},
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "TocsinTest", "severity": "info"},
                "annotations": {"summary": "A first notification from Grafana"},
                "startsAt": "2026-01-05T12:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "70c51e57a1e7f00d",
            }
        ],
    },
)
