"""New Relic's workflow notifications over a webhook, with the payload template that it proposes.

Source: New Relic documentation, "Notification integrations, Webhook" and "Workflow variables", read 2026-11. The
template gives ``id``, ``issueUrl``, ``title``, ``priority``, ``impactedEntities``, ``totalIncidents``, ``state``,
``trigger``, ``isCorrelated``, ``createdAt``, ``updatedAt``, ``sources``, ``alertPolicyNames``, ``alertConditionNames``
and ``workflowName``; ``closedAt``, ``acknowledgedAt``, ``acknowledgedBy`` and ``owner`` are read where they were added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, prose_at, said, text_at, texts_at

_STATES = {
    "created": AlertStatus.FIRING,
    "activated": AlertStatus.FIRING,
    "open": AlertStatus.FIRING,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
    "closed": AlertStatus.RESOLVED,
    "deactivated": AlertStatus.RESOLVED,
}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the issue.

    Raises:
        ParseError: No object, or no id of an issue in it.
    """
    payload = load_object(body)
    issue_id = text_at(payload, "id", "issueId")
    if not issue_id:
        raise ParseError("body.unexpected_shape", 'there is no id: keep "id": {{ json issueId }} in the template')
    warnings: list[str] = []
    status = _status(payload, warnings)
    created_at = values.parse_time(payload.get("createdAt"))
    changed_at = values.parse_time(payload.get("updatedAt"))
    event_time = created_at
    if status is AlertStatus.RESOLVED:
        event_time = values.parse_time(payload.get("closedAt")) or changed_at
    elif status is AlertStatus.ACKNOWLEDGED:
        event_time = values.parse_time(payload.get("acknowledgedAt")) or changed_at
    who = text_at(payload, "acknowledgedBy", "owner")
    return [
        AlertEvent(
            dedup_key=f"issue:{issue_id}",
            status=status,
            title=_title(payload, issue_id),
            description=prose_at(payload, "description", "details"),
            raw_severity=text_at(payload, "priority", "severity", limit=100),
            event_time=event_time,
            starts_at=created_at,
            ends_at=event_time if status is AlertStatus.RESOLVED else None,
            labels=_labels(payload),
            annotations=said({"incidents": text_at(payload, "totalIncidents")}),
            links=values.links(("Issue", payload.get("issueUrl")), ("Runbook", payload.get("runbookUrl"))),
            note=f"Acknowledged by {who}" if status is AlertStatus.ACKNOWLEDGED and who else "",
            warnings=bounded(warnings),
        )
    ]


def _status(payload: Mapping[str, Any], warnings: list[str]) -> AlertStatus:
    state = text_at(payload, "state", limit=40)
    known = _STATES.get(state.lower())
    if known is None:
        warnings.append(f"state {state!r} is not known: taken as active")
    # An acknowledgement leaves the issue active; only the trigger tells.
    if known is not AlertStatus.RESOLVED and "ACKNOWLEDGED" in text_at(payload, "trigger", limit=100).upper():
        return AlertStatus.ACKNOWLEDGED
    return known or AlertStatus.FIRING


def _title(payload: Mapping[str, Any], issue_id: str) -> str:
    title = text_at(payload, "title", limit=values.TITLE_MAX)
    if title:
        return title
    about = [*texts_at(payload, "alertConditionNames", most=3), *texts_at(payload, "impactedEntities", most=3)]
    return values.one_line(" on ".join(about)) or f"New Relic issue {issue_id}"


def _labels(payload: Mapping[str, Any]) -> dict[str, str]:
    def listed(name: str) -> str:
        return values.one_line(", ".join(texts_at(payload, name)), limit=values.LABEL_VALUE_MAX)

    return said(
        {
            "alertname": listed("alertConditionNames"),
            "policy": listed("alertPolicyNames"),
            "entity": listed("impactedEntities"),
            "source": listed("sources"),
            "workflow": text_at(payload, "workflowName"),
            "priority": text_at(payload, "priority"),
        }
    )


SOURCE = AlertSource(
    slug="newrelic",
    title="New Relic",
    profile="bearer",  # a destination takes basic, a bearer token, OAuth or custom headers; it cannot sign
    parse=parse,
    # A warning threshold makes an issue of the priority high.
    severities={**COMMON_SEVERITIES, "high": Severity.P2},
    document="https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/#webhook",
    document_date="2026-11",
    setup="Under Alerts > Destinations add a webhook with the address and bearer token authentication; add it to a "
    "workflow with the payload template that New Relic proposes, and let it notify when an issue is activated, "
    "acknowledged, closed and when its priority changes.",
    example={
        "id": "70c51e57-0000-4000-8000-000000000001",
        "issueUrl": "https://radar-api.service.newrelic.com/accounts/1/issues/0",
        "title": "A first issue from New Relic",
        "priority": "LOW",
        "state": "ACTIVATED",
        "trigger": "STATE_CHANGE",
        "createdAt": 1767614400000,
        "updatedAt": 1767614400000,
        "alertPolicyNames": ["Test"],
        "alertConditionNames": ["Tocsin test"],
    },
)
