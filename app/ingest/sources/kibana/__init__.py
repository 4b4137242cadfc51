"""Kibana's alerting rules through its webhook connector, with the body of docs/how-to/connect-kibana.md.

Source: elastic.co, Kibana guide, "Rule action variables" and "Webhook connector", read 2026-11. The body is a Mustache
template of the rule's author; a variable that the rule type does not have becomes empty. The action must run for each
alert and, besides when the rule's condition is met, when it has recovered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, FORM, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values

_RECOVERED = ("recovered", "untracked")
_HINT = "use the body of docs/how-to/connect-kibana.md, and let the action run for each alert"


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the one alert that the action ran for.

    Raises:
        ParseError: No JSON object, or neither a rule nor an alert in it.
    """
    payload = load_object(body)
    rule, alert = fields.object_at(payload, "rule"), fields.object_at(payload, "alert")
    rule_id, alert_id = fields.text_of(rule.get("id"), limit=4096), fields.text_of(alert.get("id"), limit=4096)
    if not rule_id or not alert_id:
        raise ParseError("body.unexpected_shape", f"rule.id or alert.id is missing: {_HINT}")
    group = fields.text_at(alert, "action_group")
    is_over = group.lower() in _RECOVERED
    at = values.parse_time(payload.get("date"))
    name = fields.text_at(rule, "name") or f"Rule {rule_id[:100]}"
    return [
        AlertEvent(
            # Not the uuid, which is another one each time the same alert comes back.
            dedup_key=f"rule:{rule_id}:{alert_id}",
            status=AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
            title=values.one_line(_title(name, alert_id, payload, is_over=is_over)),
            description=fields.prose_at(payload, "message", "reason"),
            raw_severity=fields.text_at(payload, "severity") or _severity_of(group),
            event_time=at,
            starts_at=at if not is_over else None,
            ends_at=at if is_over else None,
            labels=_labels(name, alert_id, rule, alert),
            links=values.links(("Alert", payload.get("url")), ("Rule", rule.get("url"))),
            # A rule that is broken down by host has an alert for each: one incident for the rule.
            group=fields.said({"rule": name, "space": fields.text_at(rule, "space")}),
        )
    ]


def _title(name: str, alert_id: str, payload: Mapping[str, Any], *, is_over: bool) -> str:
    if is_over:
        return f"{name}: {alert_id} has recovered"
    because = fields.text_at(payload, "reason", "title")
    return f"{name}: {because or alert_id}"


def _severity_of(action_group: str) -> str:
    """Rules with two thresholds have an action group for each, ``metrics.threshold.warning`` among them."""
    word = action_group.lower().replace("_", ".").rpartition(".")[2]
    return word if word in ("warning", "critical", "nodata") else "active"


def _labels(name: str, alert_id: str, rule: Mapping[str, Any], alert: Mapping[str, Any]) -> dict[str, str]:
    return fields.said(
        {
            "alertname": name,
            "alert": values.one_line(alert_id, limit=values.LABEL_VALUE_MAX),
            "rule_type": fields.text_at(rule, "type"),
            "space": fields.text_at(rule, "space"),
            "tags": fields.text_at(rule, "tags"),
            "action_group": fields.text_at(alert, "action_group"),
            "flapping": fields.text_at(alert, "flapping"),
        }
    )


SOURCE = AlertSource(
    slug="kibana",
    title="Kibana (Elastic alerting)",
    profile="bearer",
    parse=parse,
    # Its connector posts the body as text and calls it a form where no header says otherwise.
    content_types=(FORM,),
    severities={**COMMON_SEVERITIES, "active": Severity.P2, "nodata": Severity.P2},
    example={
        "date": "2026-01-05T12:00:00.000Z",
        "rule": {"id": "1", "name": "A first rule"},
        "alert": {"id": "web-1", "action_group": "threshold met"},
        "severity": "low",
        "reason": "cpu.load is 4.2 on web-1",
    },
    document="https://www.elastic.co/docs/explore-analyze/alerts-cases/alerts/rule-action-variables",
    document_date="2026-11",
    setup="Under Stack Management > Connectors add a Webhook: POST, the address, and two headers: Authorization with 'Bearer "
    "<secret>' as its value, and Content-Type with application/json. In each rule add two actions with it, for each alert: "
    "one when the condition is met and one on Recovered, both with the body of docs/how-to/connect-kibana.md.",
)
