"""Azure Monitor's action groups, with the common alert schema: metric, log, activity log, health, Prometheus.

Source: Microsoft Learn, "Common alert schema" and "Sample alert payloads" (revised 2026-07-08), read 2026-11. ``data``
holds ``essentials`` (the same for all), ``alertContext`` (by ``monitoringService``) and ``customProperties``. A
stateful alert fires and resolves under one ``alertId``. Service and resource health always say Fired: their context says how
it stands, under an id of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, object_at, objects_at, prose_at, said, text_at, texts_at

_SCHEMA = "azureMonitorCommonAlertSchema"
_CONDITIONS = {"fired": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}
_HEALTH_OVER = frozenset({"resolved", "complete", "completed", "canceled", "cancelled", "available", "rca"})
_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+/?", re.IGNORECASE)
_SAME = frozenset({"alertname", "resource"})
_OPERATORS = {
    "greaterthan": ">",
    "greaterthanorequal": ">=",
    "lessthan": "<",
    "lowerthan": "<",
    "lessthanorequal": "<=",
    "lowerthanorequal": "<=",
    "equals": "=",
}
_SEVERITIES = {
    "sev0": Severity.P0,
    "sev1": Severity.P1,
    "sev2": Severity.P2,
    "sev3": Severity.P3,
    "sev4": Severity.P3,
}


@dataclass(frozen=True, slots=True)
class _Identity:
    """What the alert is, and how it stands."""

    key: str
    status: AlertStatus


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the alert.

    Raises:
        ParseError: Another schema than the common one, or an alert without an id.
    """
    payload = load_object(body)
    if payload.get("schemaId") != _SCHEMA:
        raise ParseError(
            "body.unexpected_shape",
            f"the schema is {text_at(payload, 'schemaId', limit=60)!r}: enable the common schema in the action group",
        )
    data = object_at(payload, "data")
    essentials, context = object_at(data, "essentials"), object_at(data, "alertContext")
    warnings: list[str] = []
    identity = _identity(essentials, context, warnings)
    fired_at = values.parse_time(essentials.get("firedDateTime"))
    over = identity.status is AlertStatus.RESOLVED
    ended_at = values.parse_time(essentials.get("resolvedDateTime")) or values.parse_time(context.get("eventTimestamp"))
    labels = _labels(essentials, context, object_at(data, "customProperties"))
    return [
        AlertEvent(
            dedup_key=identity.key,
            status=identity.status,
            title=_title(essentials, context),
            description=_described(essentials, context),
            raw_severity=text_at(essentials, "severity", limit=100),
            event_time=ended_at if over else fired_at,
            # What says how it stands in its context is fired anew for its end.
            starts_at=fired_at if not over or (fired_at and ended_at and fired_at < ended_at) else None,
            ends_at=ended_at if over else None,
            labels=labels,
            links=_links(essentials, context),
            # A stateful alert has a new id each time that it fires; to people it is the same incident.
            group={name: labels[name] for name in _SAME} if labels.keys() >= _SAME else {},
            warnings=bounded(warnings),
        )
    ]


def _identity(essentials: Mapping[str, Any], context: Mapping[str, Any], warnings: list[str]) -> _Identity:
    service = text_at(essentials, "monitoringService").lower().replace(" ", "")
    properties = object_at(context, "properties")
    said_status = {text_at(context, "status").lower(), text_at(properties, "stage").lower()}
    tracking = text_at(properties, "trackingId")
    if service == "servicehealth" and tracking:
        over = not said_status.isdisjoint(_HEALTH_OVER)
        return _Identity(f"servicehealth:{tracking}", AlertStatus.RESOLVED if over else AlertStatus.FIRING)
    target = ",".join(texts_at(essentials, "alertTargetIDs"))
    if service == "resourcehealth" and target:
        said_status.add(text_at(properties, "currentHealthStatus").lower())
        over = not said_status.isdisjoint(_HEALTH_OVER)
        return _Identity(f"resourcehealth:{target.lower()}", AlertStatus.RESOLVED if over else AlertStatus.FIRING)
    key = text_at(essentials, "alertId", "originAlertId")
    if not key:
        raise ParseError("body.unexpected_shape", "an alert without 'data.essentials.alertId'")
    condition = text_at(essentials, "monitorCondition", limit=40)
    known = _CONDITIONS.get(condition.lower())
    if known is None:
        warnings.append(f"monitorCondition {condition!r} is not known: taken as Fired")
    return _Identity(key, known or AlertStatus.FIRING)


def _resource(essentials: Mapping[str, Any]) -> str:
    items = texts_at(essentials, "configurationItems") or texts_at(essentials, "alertTargetIDs")
    # A subscription as a whole is no resource, and its name is a number.
    named = [item.strip("/").rpartition("/")[2] for item in items if not _SUBSCRIPTION.fullmatch(item)]
    return ", ".join(named[:3])


def _title(essentials: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    rule = text_at(essentials, "alertRule")
    told = text_at(object_at(context, "properties"), "title", limit=300)
    if not told:
        told = text_at(object_at(context, "annotations"), "summary", limit=300) or _condition(context)
    if not told:
        told = text_at(context, "operationName")
    resource = _resource(essentials)
    about = f"{rule} on {resource}" if rule and resource and resource.lower() not in rule.lower() else rule or resource
    return values.one_line(": ".join(part for part in (about, told) if part)) or "Azure alert without a rule"


def _condition(context: Mapping[str, Any]) -> str:
    """The first criterion in words, ``Percentage CPU 31.1 > 25``."""
    criteria = objects_at(object_at(context, "condition"), "allOf")
    if not criteria:
        return ""
    first = criteria[0]
    operator = text_at(first, "operator", limit=40)
    name = text_at(first, "webTestName", "metricName", "metricMeasureColumn") or "result"
    sign = _OPERATORS.get(operator.lower(), operator)
    return " ".join(part for part in (name, text_at(first, "metricValue"), sign, text_at(first, "threshold")) if part)


def _described(essentials: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    properties, condition = object_at(context, "properties"), object_at(context, "condition")
    parts = [prose_at(essentials, "description", limit=4000)]
    parts += [prose_at(first, "searchQuery", limit=4000) for first in objects_at(condition, "allOf")[:3]]
    parts.append(prose_at({**context, **properties}, "SearchQuery", "expression", "communication", "details", "cause"))
    return description_of(parts, between="\n\n")


def _labels(essentials: Mapping[str, Any], context: Mapping[str, Any], custom: Mapping[str, Any]) -> dict[str, str]:
    target = next(iter(texts_at(essentials, "alertTargetIDs")), "").strip("/").split("/")
    named = dict(zip((part.lower() for part in target[::2]), target[1::2], strict=False))
    criteria = objects_at(object_at(context, "condition"), "allOf")[:5]
    pairs = [pair for criterion in criteria for pair in objects_at(criterion, "dimensions")]
    pairs += objects_at(context, "Dimensions")
    dimensions = {text_at(pair, "name"): text_at(pair, "value") for pair in pairs[:20] if text_at(pair, "name")}
    found = {
        **dimensions,
        **values.clean_mapping(context.get("labels")),
        **values.clean_mapping(custom),
        "alertname": text_at(essentials, "alertRule"),
        "resource": _resource(essentials),
        "resource_group": text_at(essentials, "targetResourceGroup") or named.get("resourcegroups", ""),
        "resource_type": text_at(essentials, "targetResourceType"),
        "subscription": named.get("subscriptions", ""),
        "service": text_at(essentials, "monitoringService"),
        "signal": text_at(essentials, "signalType"),
        "region": text_at(object_at(context, "properties"), "region"),
    }
    return said(dict(list(found.items())[-values.LABELS_MAX :]))


def _links(essentials: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[Any, ...]:
    criteria = objects_at(object_at(context, "condition"), "allOf")[:3]
    results = (("Results", one.get("linkToFilteredSearchResultsUI")) for one in criteria)
    return values.links(
        ("Investigate", essentials.get("investigationLink")),
        *results,
        ("Results", context.get("LinkToFilteredSearchResultsUI") or context.get("LinkToSearchResults")),
    )


SOURCE = AlertSource(
    slug="azure_monitor",
    title="Azure Monitor",
    profile="url_secret",  # an action group's webhook sends no header of yours; secure webhooks need Entra ID
    parse=parse,
    severities={**COMMON_SEVERITIES, **_SEVERITIES},
    document="https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples",
    document_date="2026-07-08",
    setup="In the action group add a webhook with the address (it carries the secret: treat it as one) and enable the "
    "common alert schema. Alerts resolve by themselves where their rule does; rules on the activity log never say that "
    "something is over.",
    example={
        "schemaId": _SCHEMA,
        "data": {
            "essentials": {
                "alertId": "/subscriptions/0/providers/Microsoft.AlertsManagement/alerts/tocsin-test",
                "alertRule": "Tocsin test",
                "severity": "Sev4",
                "signalType": "Metric",
                "monitorCondition": "Fired",
                "monitoringService": "Platform",
                "configurationItems": ["test-1"],
                "firedDateTime": "2026-01-05T12:00:00Z",
                "description": "A first alert from Azure Monitor",
            }
        },
    },
)
