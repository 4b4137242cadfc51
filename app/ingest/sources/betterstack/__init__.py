"""Better Stack's outgoing webhooks for incidents, in the shape of its API (JSON:API).

Source: betterstack.com/docs/uptime/webhooks and "Incidents API response attributes", read 2026-11. ``data.id``,
``data.attributes``: ``name``, ``url``, ``cause``, ``started_at``, ``acknowledged_at``, ``acknowledged_by``,
``resolved_at``, ``resolved_by``, ``status`` (Unconfirmed, Started, Acknowledged, Validating, Resolved), ``team_name``,
``regions``. Webhooks for monitors and on-call contacts have the same shape and another ``type``; no alert is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import fields, values

_STATUSES = {
    "started": AlertStatus.FIRING,
    "validating": AlertStatus.FIRING,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
    "resolved": AlertStatus.RESOLVED,
}


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the incident's one event, none for monitors and on-call contacts.

    Raises:
        ParseError: No JSON object, or no resource of Better Stack in it.
    """
    data = fields.object_at(load_object(body), "data")
    kind, number = fields.text_at(data, "type"), fields.text_of(data.get("id"), limit=4096)
    if not kind or not number:
        raise ParseError("body.unexpected_shape", "no incident: data.type or data.id is missing")
    if kind != "incident":
        return Events(notes=[f"no alert is made of a {kind[:60]}"])
    incident = fields.object_at(data, "attributes")
    said = fields.text_at(incident, "status")
    if said.lower() == "unconfirmed":
        return Events(notes=["an incident that is not confirmed yet"])
    status = _STATUSES.get(said.lower()) or _status_by_times(incident)
    return [
        AlertEvent(
            dedup_key=f"incident:{number}",
            status=status,
            title=values.one_line(_title(incident, number)),
            description=_description(incident),
            raw_severity="critical alert" if incident.get("critical_alert") is True else "incident",
            # An incident that is opened again keeps the time at which it first started, so its times cannot tell
            # which of two events is newer: the order of arrival does.
            starts_at=values.parse_time(incident.get("started_at")),
            ends_at=values.parse_time(incident.get("resolved_at")) if status is AlertStatus.RESOLVED else None,
            labels=_labels(data, incident),
            links=values.links(
                ("Incident", incident.get("origin_url")),
                ("Checked page", incident.get("url")),
                ("Screenshot", incident.get("screenshot_url")),
                ("Response", incident.get("response_url")),
            ),
            note=_note(status, incident),
            warnings=fields.bounded(
                [] if said.lower() in _STATUSES else [f"status {said[:40]!r} is not known: judged by the times"]
            ),
        )
    ]


def _status_by_times(incident: Mapping[str, Any]) -> AlertStatus:
    if values.parse_time(incident.get("resolved_at")) is not None:
        return AlertStatus.RESOLVED
    is_acknowledged = values.parse_time(incident.get("acknowledged_at")) is not None
    return AlertStatus.ACKNOWLEDGED if is_acknowledged else AlertStatus.FIRING


def _title(incident: Mapping[str, Any], number: str) -> str:
    name = fields.text_at(incident, "name") or fields.text_at(incident, "url") or f"Incident {number[:60]}"
    cause = fields.text_at(incident, "cause")
    return f"{name}: {cause}" if cause else name


def _description(incident: Mapping[str, Any]) -> str:
    return fields.facts_of(
        ("Cause", fields.prose_at(incident, "cause")),
        ("URL", " ".join(filter(None, (fields.text_at(incident, "http_method"), fields.text_at(incident, "url"))))),
        ("Seen from", ", ".join(fields.texts_at(incident, "regions"))),
        ("Response", fields.prose_at(incident, "response_content", limit=1000)),
    )


def _labels(data: Mapping[str, Any], incident: Mapping[str, Any]) -> dict[str, str]:
    monitor = fields.object_at(fields.object_at(fields.object_at(data, "relationships"), "monitor"), "data")
    own = {
        "alertname": fields.text_at(incident, "name"),
        "team": fields.text_at(incident, "team_name"),
        "url": fields.text_at(incident, "url"),
        "monitor": fields.text_at(monitor, "id"),
        "group": fields.text_at(incident, "incident_group_id"),
    }
    # Metadata of the incident are lists of values, or texts.
    metadata = fields.object_at(incident, "metadata")
    extra = {name: said for name, said in values.clean_mapping(metadata).items() if isinstance(metadata.get(name), str)}
    return fields.said(extra) | fields.said(own)


def _note(status: AlertStatus, incident: Mapping[str, Any]) -> str:
    who = fields.text_at(incident, "acknowledged_by")
    return f"Acknowledged in Better Stack by {who}" if status is AlertStatus.ACKNOWLEDGED and who else ""


SOURCE = AlertSource(
    slug="betterstack",
    title="Better Stack",
    profile="url_secret",
    parse=parse,
    # An incident that is opened again may be told in the very bytes of its first start.
    replay_window_s=30,
    severities={**COMMON_SEVERITIES, "critical alert": Severity.P0, "incident": Severity.P1},
    example={
        "data": {
            "id": "1",
            "type": "incident",
            "attributes": {
                "name": "A first monitor",
                "url": "https://example.com/",
                "cause": "Status 503",
                "status": "Started",
            },
        }
    },
    document="https://betterstack.com/docs/uptime/webhooks/",
    document_date="2026-11",
    setup="Under Integrations > Exporting data > Outgoing webhooks add an incident webhook with the whole address, secret "
    "included, and choose started, acknowledged, resolved and reopened.",
)
