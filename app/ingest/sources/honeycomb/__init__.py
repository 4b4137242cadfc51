"""Honeycomb: triggers and SLO burn alerts, as its webhook recipient sends them.

Source: Honeycomb, "Send Alerts to Webhooks" and "Webhook Variables", and the listener in ``honeycombio/examples``, read
2026-11. Two shapes: the standard payload (``version``, ``id``, ``name``, ``status`` TRIGGERED or OK, ``summary``,
``result_url``, ``result_groups_triggered``, ``is_test``; for burn alerts ``slo_url`` and ``sli_url``), and the one that
the custom template starts out with (``alert.status``, ``alert.instanceId``, ``result.groupsTriggered``, ``threshold``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import (
    bounded,
    description_of,
    object_at,
    objects_at,
    prose_at,
    said,
    text_at,
    text_of,
    texts_at,
)

_STATUSES = {
    "triggered": AlertStatus.FIRING,
    "ok": AlertStatus.RESOLVED,
    "resolved": AlertStatus.RESOLVED,
}
# The payload holds no time and no number: a trigger that fires again tomorrow may send the very same bytes.
_REPLAY_WINDOW_S = 60
_SHOWN_GROUPS = 10


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the alert, none for a test.

    Raises:
        ParseError: No JSON object, or one without a status or without id and name.
    """
    payload = load_object(body)
    alert = object_at(payload, "alert")
    said_status = text_at(payload, "status", limit=40) or text_at(alert, "status", limit=40)
    identity, name = text_at(payload, "id", limit=200), text_at(payload, "name", limit=values.TITLE_MAX)
    if not said_status or not (identity or name):
        raise ParseError("body.unexpected_shape", "no alert of Honeycomb: 'status' and 'id' or 'name' are needed")
    if payload.get("is_test") is True or alert.get("isTest") is True:
        return Events(notes=["a test: no alert"])
    warnings: list[str] = []
    status = _STATUSES.get(said_status.lower())
    if status is None:
        status = AlertStatus.FIRING
        warnings.append(f"status {said_status!r} is not known: taken as firing")
    at = values.parse_time(payload.get("timestamp") or alert.get("timestamp"))
    groups = _groups(payload)
    return [
        AlertEvent(
            dedup_key=f"id:{identity}" if identity else f"name:{name}",
            status=status,
            title=_title(payload, alert, name or identity, groups),
            description=_description(payload, alert, groups),
            raw_severity=text_at(payload, "severity", limit=100)
            or text_at(object_at(payload, "vars"), "severity", limit=100),
            event_time=at,
            labels=_labels(payload, name or identity, groups),
            links=_links(payload),
            warnings=bounded(warnings),
        )
    ]


def _title(
    payload: Mapping[str, Any], alert: Mapping[str, Any], name: str, groups: list[tuple[dict[str, str], str]]
) -> str:
    """This will return the summary without its "Triggered: ", and what the one group that fires is grouped by."""
    summary = text_at(payload, "summary", limit=values.TITLE_MAX) or text_at(alert, "summary", limit=values.TITLE_MAX)
    plain = summary.partition(": ")[2] or summary
    title = plain if name in plain else f"{name}: {plain}" if plain else name
    where = ", ".join(f"{field}={value}" for field, value in groups[0][0].items()) if len(groups) == 1 else ""
    return values.one_line(f"{title} ({where})" if where else title)


def _groups(payload: Mapping[str, Any]) -> list[tuple[dict[str, str], str]]:
    """This will return what each group that crossed the threshold is grouped by, and its value."""
    found: list[tuple[dict[str, str], str]] = []
    for entry in objects_at(payload, "result_groups_triggered")[:_SHOWN_GROUPS]:
        found.append((said(values.clean_mapping(entry.get("Group"))), text_of(entry.get("Result"), limit=60)))
    for entry in objects_at(object_at(payload, "result"), "groupsTriggered")[:_SHOWN_GROUPS]:
        field = text_at(entry, "field", limit=values.LABEL_NAME_MAX)
        found.append((said({field: text_at(entry, "value")}) if field else {}, text_of(entry.get("count"), limit=60)))
    return found


def _labels(payload: Mapping[str, Any], name: str, groups: list[tuple[dict[str, str], str]]) -> dict[str, str]:
    # One group that fires says where; several have no value in common that could stand as a label.
    labels = dict(groups[0][0]) if len(groups) == 1 else {}
    return labels | said(
        {
            "alertname": name,
            "alert_type": text_at(payload, "alert_type"),
            "environment": text_at(payload, "environment"),
            "dataset": text_at(payload, "dataset", "dataset_name") or ", ".join(texts_at(payload, "datasets", most=5)),
            "slo": text_at(object_at(payload, "slo"), "name"),
        }
    )


def _description(payload: Mapping[str, Any], alert: Mapping[str, Any], groups: list[tuple[dict[str, str], str]]) -> str:
    threshold = object_at(payload, "threshold")
    operator = text_at(payload, "operator", limit=60) or text_at(threshold, "op", limit=60)
    limit = text_at(payload, "threshold", limit=60) or text_at(threshold, "value", limit=60)
    lines = [
        prose_at(alert, "description") or prose_at(payload, "description"),
        prose_at(payload, "trigger_description") or (prose_at(payload, "description") if alert else ""),
        f"Threshold: {operator} {limit}" if operator and limit else "",
    ]
    for group, result in groups:
        where = ", ".join(f"{name}={value}" for name, value in group.items())
        if where or result:
            lines.append(f"{where or 'all'}: {result or '?'}")
    return description_of(dict.fromkeys(lines))


def _links(payload: Mapping[str, Any]) -> tuple[Any, ...]:
    result, links = object_at(payload, "result"), object_at(payload, "links")
    return values.links(
        ("Result", payload.get("result_url") or object_at(result, "links").get("url")),
        ("Trigger", payload.get("trigger_url") or links.get("url")),
        ("SLO", payload.get("slo_url") or object_at(payload, "slo").get("url")),
        ("SLI", payload.get("sli_url")),
    )


SOURCE = AlertSource(
    slug="honeycomb",
    title="Honeycomb",
    profile="bearer",
    parse=parse,
    replay_window_s=_REPLAY_WINDOW_S,
    example={
        "version": "v0.1.0",
        "id": "fS7vfB81Wcy",
        "name": "Checkout is slow",
        "trigger_description": "",
        "status": "TRIGGERED",
        "alert_type": "on_change",
        "summary": "Triggered: Checkout is slow",
        "description": "Currently greater than threshold value (2000)",
        "operator": "greater than",
        "threshold": 2000,
        "severity": "warning",
        "result_url": "https://ui.honeycomb.io/example/result/1",
        "result_groups_triggered": [{"Group": {"service.name": "checkout"}, "Result": 2400}],
        "trigger_url": "https://ui.honeycomb.io/example/triggers/fS7vfB81Wcy",
        "is_test": False,
    },
    document="https://docs.honeycomb.io/notify/webhooks",
    document_date="2026-11-21",
    setup="Under Team Settings > Integrations add a Webhook with the address; on its tab Headers add Authorization: Bearer "
    "<secret> and leave the payload as it is. Add it as a recipient to triggers and burn alerts. Honeycomb has no severity "
    'of its own: a variable of that name and "severity": "{{ .Vars.severity }}" in the payload give it one.',
)
