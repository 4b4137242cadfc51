"""VMware Aria Operations (vRealize Operations) and Aria Operations for Logs (Log Insight): their outgoing notifications.

Source: VMware, "Add a REST Notification Plug-In" (vRealize Operations Manager 8.1) and "Webhook Format" (Aria Operations
for Logs 8.18), read 2026-11. Operations sends ``alertId``, ``alertName``, ``status`` (ACTIVE, CANCELED), ``criticality``
(ALERT_CRITICALITY_LEVEL_...), ``resourceName`` and times in milliseconds. Logs sends ``AlertName``, ``messages`` with
``text``, ``timestamp`` and ``fields``, ``NumHits``, ``Url``, and never says that something is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, objects_at, prose_at, said, text_at

_OVER = frozenset({"canceled", "cancelled", "inactive", "resolved", "closed"})
_SAMPLE_ALERT = "sample-alert-uuid"
_SHOWN_MESSAGES = 5


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the notification, none for the sample that tests a plug-in.

    Raises:
        ParseError: No JSON object, or neither an alert of Operations nor one of Logs.
    """
    payload = load_object(body)
    identity = text_at(payload, "alertId", limit=200)
    if identity == _SAMPLE_ALERT:
        return Events(notes=["a test: no alert"])
    if identity:
        return [_operations_event(payload, identity)]
    name = text_at(payload, "AlertName", limit=values.TITLE_MAX)
    if not name:
        raise ParseError(
            "body.unexpected_shape", "neither 'alertId' (Operations) nor 'AlertName' (Operations for Logs)"
        )
    return [_logs_event(payload, name)]


def _operations_event(payload: Mapping[str, Any], identity: str) -> AlertEvent:
    warnings: list[str] = []
    status = text_at(payload, "status", limit=40).lower()
    over = status in _OVER
    if not over and status not in ("active", "new", "updated"):
        warnings.append(f"status {status or 'missing'!r} is not known: taken as active")
    began, updated = values.parse_time(payload.get("startDate")), values.parse_time(payload.get("updateDate"))
    # The samples have a cancelDate even in active alerts; it means something only in cancelled ones.
    ended = values.parse_time(payload.get("cancelDate")) or updated if over else None
    name = text_at(payload, "alertName", "AlertName", limit=300)
    resource = text_at(payload, "resourceName", limit=150)
    name = name or _word(payload, "subType") or f"Alert {identity}"
    return AlertEvent(
        dedup_key=f"alert:{identity}",
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        title=f"{name} on {resource}" if resource else name,
        description=prose_at(payload, "info"),
        raw_severity=_word(payload, "criticality"),
        event_time=ended if over else updated or began,
        starts_at=began,
        ends_at=ended,
        labels=said(
            {
                "alertname": name,
                "resource": resource,
                "resource_kind": text_at(payload, "resourceKind"),
                "resource_id": text_at(payload, "resourceId"),
                "adapter_kind": text_at(payload, "adapterKind"),
                "type": _word(payload, "type"),
                "sub_type": _word(payload, "subType"),
            }
        ),
        annotations=said({badge.lower(): text_at(payload, badge) for badge in ("Health", "Risk", "Efficiency")}),
        warnings=bounded(warnings),
    )


def _word(payload: Mapping[str, Any], name: str) -> str:
    """This will return ``immediate`` of ALERT_CRITICALITY_LEVEL_IMMEDIATE and ``performance problem`` of a sub-type."""
    text = text_at(payload, name, limit=100).lower()
    for prefix in ("alert_criticality_level_", "alert_criticality_", "alert_subtype_", "alert_type_"):
        text = text.removeprefix(prefix)
    return text.replace("_", " ")


def _logs_event(payload: Mapping[str, Any], name: str) -> AlertEvent:
    messages = objects_at(payload, "messages")
    hits = text_at(payload, "NumHits", "numHits", "HitCount", limit=40)
    lines = [
        prose_at(payload, "Info", "info", "description"),
        prose_at(payload, "Recommendation", "recommendations"),
        f"{hits} hits" if hits else "",
        *(prose_at(message, "text", limit=2000) for message in messages[:_SHOWN_MESSAGES]),
    ]
    return AlertEvent(
        dedup_key=f"logs:{name}",
        status=AlertStatus.FIRING,
        title=name,
        description=description_of(lines),
        raw_severity=text_at(payload, "severity", limit=40),
        event_time=_newest(messages),
        labels={"alertname": name, **_common_fields(messages)},
        links=values.links(
            ("Messages", payload.get("Url") or payload.get("resultsUrl")), ("Alert definition", payload.get("EditUrl"))
        ),
    )


def _newest(messages: list[dict[str, Any]]) -> datetime | None:
    times = [found for message in messages[:100] if (found := values.parse_time(message.get("timestamp"))) is not None]
    return max(times, default=None)


def _common_fields(messages: list[dict[str, Any]]) -> dict[str, str]:
    """This will return the fields on which all messages agree."""
    common: dict[str, str] | None = None
    for message in messages[:20]:
        found = {
            name: text
            for field in objects_at(message, "fields")[: values.LABELS_MAX - 1]
            if (name := text_at(field, "name", limit=values.LABEL_NAME_MAX)) and (text := text_at(field, "content"))
        }
        common = found if common is None else {name: text for name, text in common.items() if found.get(name) == text}
    return common or {}


SOURCE = AlertSource(
    slug="vrealize",
    title="VMware Aria Operations and Log Insight",
    profile="basic",
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        "immediate": Severity.P1,
        "auto": Severity.P2,
        "symptom based": Severity.P2,
        "unknown": Severity.P2,
    },
    example={
        "startDate": 1767614400000,
        "updateDate": 1767614400000,
        "criticality": "ALERT_CRITICALITY_LEVEL_CRITICAL",
        "alertId": "0a1b2c3d-0000-4000-8000-000000000001",
        "alertName": "Virtual machine is out of memory",
        "status": "ACTIVE",
        "type": "ALERT_TYPE_APPLICATION_PROBLEM",
        "subType": "ALERT_SUBTYPE_PERFORMANCE_PROBLEM",
        "resourceId": "r-1",
        "resourceName": "vm-web-1",
        "resourceKind": "VirtualMachine",
        "adapterKind": "VMWARE",
        "Health": 1.0,
        "Risk": 4.0,
        "Efficiency": 1.0,
        "info": "Memory demand is above 95 %.",
    },
    document="https://docs.vmware.com/en/vRealize-Operations-Manager/8.1/com.vmware.vcom.core.doc/"
    "GUID-2A26A734-CD91-43E0-BF42-B079D5B0F5D4.html",
    document_date="2026-11-21",
    setup="Operations: under Alerts > Outbound Settings add an instance of the Webhook Notification plug-in with the address "
    "and, for basic authentication, both halves of the secret (before and after its colon) as user and password; its payload "
    "template, by POST and with the header Content-Type: application/json, has the fields alertId, alertName, status, "
    "criticality, resourceName, startDate, updateDate, cancelDate and info. Notify on new, updated and cancelled alerts. The "
    "older REST plug-in tests and updates with PUT, which is refused here. Logs: give it a source with the profile "
    "url_secret, and add a webhook of type custom with the whole address and content type JSON. Logs never says that "
    "something is over: give its source a resolve_timeout_s, and keep it apart from that of Operations, which does.",
)
