"""PagerDuty's webhooks, version 3: what happens to an incident over there happens to the alert here.

Source: PagerDuty developer documentation, "Webhooks overview" (event types and their data), read 2026-11. One
``event`` with ``event_type``, ``occurred_at``, ``agent`` and ``data``: an ``incident``, or something about one
(``incident_note``, ``incident_status_update``, ``incident_responder``) that refers to it. ``pagey.ping`` is the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import object_at, objects_at, prose_at, said, text_at
from app.ingest.rules.severities import FROM_ONE_TO_FIVE

_STATUSES = {
    "incident.triggered": AlertStatus.FIRING,
    "incident.reopened": AlertStatus.FIRING,
    "incident.unacknowledged": AlertStatus.FIRING,
    # Its data is the whole incident: what it says of the priority is taken over.
    "incident.priority_updated": AlertStatus.FIRING,
    "incident.acknowledged": AlertStatus.ACKNOWLEDGED,
    "incident.resolved": AlertStatus.RESOLVED,
}
_PRIORITIES = {
    f"{word}{number}": severity
    for word in ("p", "sev", "sev-", "sev ")
    for number, severity in FROM_ONE_TO_FIVE.items()
}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of the incident; nothing for pings, services and workflows.

    Raises:
        ParseError: No event, or one about an incident without an id.
    """
    event = object_at(load_object(body), "event")
    event_type = text_at(event, "event_type", limit=100)
    if not event_type:
        raise ParseError(
            "body.unexpected_shape", "there is no 'event' with an 'event_type': is it a version 3 webhook?"
        )
    if not event_type.startswith("incident.") or event_type.startswith("incident.workflow."):
        return Events(notes=[f"no alert is made of a {event_type}"])
    data = object_at(event, "data")
    incident = object_at(data, "incident") or data
    incident_id = text_at(incident, "id")
    if not incident_id:
        raise ParseError("body.unexpected_shape", f"{event_type} without the id of its incident")
    status = _status(event_type, incident)
    created_at, occurred_at = values.parse_time(incident.get("created_at")), values.parse_time(event.get("occurred_at"))
    return [
        AlertEvent(
            dedup_key=f"incident:{incident_id}",
            status=status,
            title=text_at(incident, "title", "summary", limit=values.TITLE_MAX) or f"PagerDuty incident {incident_id}",
            raw_severity=_named(incident, "priority") or text_at(incident, "urgency", limit=100),
            event_time=occurred_at,
            starts_at=created_at,
            ends_at=occurred_at if status is AlertStatus.RESOLVED else None,
            labels=_labels(incident),
            annotations=said({"number": text_at(incident, "number"), "key": text_at(incident, "incident_key")}),
            links=values.links(
                ("PagerDuty", incident.get("html_url")),
                ("Conference", object_at(incident, "conference_bridge").get("conference_url")),
            ),
            note=_note(event_type, event, data),
        )
    ]


def _status(event_type: str, incident: Mapping[str, Any]) -> AlertStatus:
    status = _STATUSES.get(event_type, AlertStatus.NOTED)
    if event_type == "incident.priority_updated" and text_at(incident, "status") == "resolved":
        return AlertStatus.NOTED
    return status


def _named(holder: Mapping[str, Any], name: str) -> str:
    """The name of what a field refers to."""
    return text_at(object_at(holder, name), "summary", "name")


def _labels(incident: Mapping[str, Any]) -> dict[str, str]:
    teams = [text_at(team, "summary") for team in objects_at(incident, "teams")[:10]]
    return said(
        {
            "service": _named(incident, "service"),
            "team": ", ".join(team for team in teams if team),
            "escalation_policy": _named(incident, "escalation_policy"),
            "priority": _named(incident, "priority"),
            "urgency": text_at(incident, "urgency"),
            "incident_type": _named(incident, "incident_type"),
        }
    )


def _note(event_type: str, event: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """What people should read in the timeline; nothing where the event speaks for itself."""
    who = text_at(object_at(event, "agent"), "summary") or "PagerDuty"
    written = prose_at(data, "content", "message", limit=values.DESCRIPTION_MAX)
    if event_type == "incident.triggered":
        return ""
    if event_type == "incident.annotated":
        return f"{who}: {written}" if written else ""
    if event_type == "incident.priority_updated":
        return f"Priority set to {_named(data, 'priority') or 'none'} by {who}"
    if event_type.startswith("incident.responder."):
        asked = _named(data, "user") or _named(data, "escalation_policy") or "a responder"
        return f"Responder {asked}: {text_at(data, 'state') or 'asked'}" + (f": {written}" if written else "")
    if event_type in ("incident.reassigned", "incident.delegated", "incident.escalated"):
        to = ", ".join(text_at(person, "summary") for person in objects_at(data, "assignees")[:10])
        deed = event_type.removeprefix("incident.").capitalize()
        return f"{deed} to {to or _named(data, 'escalation_policy') or 'nobody'} by {who}"
    deed = event_type.removeprefix("incident.").replace("_", " ").replace(".", " ").capitalize()
    return f"{deed} by {who}" + (f": {written}" if written else "")


SOURCE = AlertSource(
    slug="pagerduty",
    title="PagerDuty",
    profile="pagerduty",
    parse=parse,
    severities={**COMMON_SEVERITIES, **_PRIORITIES},
    document="https://developer.pagerduty.com/docs/webhooks-overview",
    document_date="2026-11",
    setup="Under Integrations > Generic Webhooks (v3) add a subscription with the address, the scope, and all events "
    "of incidents. PagerDuty shows the signing secret once: save it as this source's secret.",
    example={
        "event": {
            "id": "01TOCSINTEST",
            "event_type": "incident.triggered",
            "resource_type": "incident",
            "occurred_at": "2026-01-05T12:00:00Z",
            "data": {
                "id": "PTOCSIN",
                "type": "incident",
                "title": "A first incident from PagerDuty",
                "status": "triggered",
                "urgency": "low",
                "created_at": "2026-01-05T12:00:00Z",
                "service": {"summary": "Test", "type": "service_reference"},
            },
        }
    },
)
