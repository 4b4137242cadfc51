"""Dynatrace's problem notifications, through a custom integration with the payload of docs/how-to/connect-dynatrace.md.

Source: docs.dynatrace.com, "Webhook integration" and "Problem notifications", read 2026-11. Placeholders are filled into
a JSON of one's own: ``{State}`` (OPEN, RESOLVED, MERGED), ``{PID}``, ``{ProblemID}``, ``{ProblemTitle}``,
``{ProblemSeverity}``, ``{ProblemImpact}``, ``{ProblemURL}``, ``{ProblemDetailsText}``, ``{ProblemDetailsJSONv2}``,
``{ImpactedEntities}``, ``{ImpactedEntityNames}``, ``{Tags}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values

_STATES = {
    "open": AlertStatus.FIRING,
    "resolved": AlertStatus.RESOLVED,
    "closed": AlertStatus.RESOLVED,
    # Another problem goes on in its place, and is notified by itself.
    "merged": AlertStatus.RESOLVED,
}
_TEST = "dynatrace problem notification test run"
_TAGS_MAX = 20


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the problem's one event, none for a test.

    Raises:
        ParseError: No JSON object, or no problem in it.
    """
    payload = load_object(body)
    details = fields.object_at(payload, "ProblemDetailsJSONv2") or fields.object_at(payload, "ProblemDetailsJSON")
    problem = fields.text_of(payload.get("PID") or details.get("problemId"), limit=4096)
    shown = fields.text_at(payload, "ProblemID") or fields.text_at(details, "displayId")
    if not problem and not shown:
        raise ParseError("body.unexpected_shape", "no problem: PID is missing; see docs/how-to/connect-dynatrace.md")
    title = fields.text_at(payload, "ProblemTitle", limit=values.TITLE_MAX) or fields.text_at(details, "title")
    if title.lower() == _TEST:
        return Events(notes=["a test: no alert"])
    said = fields.text_at(payload, "State") or fields.text_at(details, "status")
    status = _STATES.get(said.lower(), AlertStatus.FIRING)
    names = _entities(payload)
    where = f" on {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}" if names else ""
    return [
        AlertEvent(
            dedup_key=f"problem:{problem or shown}",
            status=status,
            title=values.one_line(f"{title or 'Problem'}{where}{f' ({shown})' if shown else ''}"),
            description=fields.prose_at(payload, "ProblemDetailsText"),
            raw_severity=fields.text_at(payload, "ProblemSeverity") or fields.text_at(details, "severityLevel"),
            # A problem that is opened again keeps the time at which it first began, so its times cannot tell which
            # of two notifications is newer: the order of arrival does.
            starts_at=values.parse_time(details.get("startTime")),
            ends_at=values.parse_time(details.get("endTime")) if status is AlertStatus.RESOLVED else None,
            labels=_labels(payload, details, title, names),
            links=values.links(("Problem", payload.get("ProblemURL") or payload.get("Problem URL"))),
            warnings=fields.bounded(
                [] if said.lower() in _STATES else [f"State {said[:40]!r} is not known: taken as open"]
            ),
        )
    ]


def _entities(payload: Mapping[str, Any]) -> list[str]:
    found = [fields.text_at(entry, "name", "entity") for entry in fields.objects_at(payload, "ImpactedEntities")[:20]]
    said = fields.text_at(payload, "ImpactedEntityNames", "ImpactedEntity")
    return [name for name in found if name] or [name.strip() for name in said.split(",")[:20] if name.strip()]


def _labels(payload: Mapping[str, Any], details: Mapping[str, Any], title: str, names: list[str]) -> dict[str, str]:
    zones = [fields.text_at(zone, "name") for zone in fields.objects_at(details, "managementZones")[:20]]
    own = {
        "alertname": title,
        "impact": fields.text_at(payload, "ProblemImpact") or fields.text_at(details, "impactLevel"),
        "severity": fields.text_at(payload, "ProblemSeverity") or fields.text_at(details, "severityLevel"),
        "entities": ", ".join(names)[: values.LABEL_VALUE_MAX],
        "root_cause": fields.text_at(fields.object_at(details, "rootCauseEntity"), "name"),
        "management_zone": ", ".join(filter(None, zones))[: values.LABEL_VALUE_MAX],
    }
    return _tags(payload) | fields.said(own)


def _tags(payload: Mapping[str, Any]) -> dict[str, str]:
    """Tags by their keys, ``env:prod`` and ``[AWS]owner:web``, so that alerts can be grouped by them."""
    found = {}
    for tag in fields.text_at(payload, "Tags").split(",")[:_TAGS_MAX]:
        key, _, said = tag.strip().rpartition("]")[2].partition(":")
        if key.strip():
            found[key.strip()[: values.LABEL_NAME_MAX]] = said.strip() or "true"
    return found


SOURCE = AlertSource(
    slug="dynatrace",
    title="Dynatrace",
    profile="bearer",
    parse=parse,
    # A problem that is opened again may be told in the very bytes of its first notification.
    replay_window_s=30,
    severities={
        **COMMON_SEVERITIES,
        "availability": Severity.P1,
        "performance": Severity.P2,
        "resource_contention": Severity.P2,
        "monitoring_unavailable": Severity.P2,
        "custom_alert": Severity.P2,
    },
    example={
        "State": "OPEN",
        "PID": "1",
        "ProblemID": "P-1",
        "ProblemTitle": "A first problem",
        "ProblemSeverity": "PERFORMANCE",
        "ProblemImpact": "SERVICE",
    },
    document="https://docs.dynatrace.com/docs/analyze-explore-automate/notifications-and-alerting/problem-notifications/"
    "webhook-integration",
    document_date="2026-11",
    setup="Under Settings > Integration > Problem notifications add a custom integration with the address, a header "
    "Authorization with 'Bearer <secret>' as its value, and the payload of docs/how-to/connect-dynatrace.md; tick that it "
    "is called when problems close.",
)
