"""Incidents and vulnerabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import Events, ParseError
from app.ingest.rules import fields, values
from app.ingest.sources.gitlab.delivery import project_of
from app.ingest.sources.gitlab.settings import GitLabConfig

_OVER = ("resolved", "dismissed")


def incident(payload: Mapping[str, Any], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the event of an incident, and of an issue where the tenant wants them.

    Raises:
        ParseError: It has no number.
    """
    issue = fields.object_at(payload, "object_attributes")
    kind = fields.text_at(issue, "type") or "Issue"
    if kind.lower() != "incident" and not (config.issues and kind.lower() == "issue"):
        return Events(notes=[f"no alert is made of a work item of type {kind[:40]}"])
    project, key = project_of(payload)
    number = fields.text_at(issue, "iid", "id")
    if not number:
        raise ParseError("body.unexpected_shape", f"the {kind[:40].lower()} has no number")
    status = _incident_status(issue)
    is_over = status is AlertStatus.RESOLVED
    return [
        AlertEvent(
            dedup_key=f"issue:{key}:{number}",
            status=status,
            title=values.one_line(f"{project}#{number}: {fields.text_at(issue, 'title') or f'{kind} without a title'}"),
            description=fields.prose_at(issue, "description"),
            raw_severity=fields.text_at(issue, "severity"),
            event_time=fields.time_at(issue, "updated_at", "created_at"),
            starts_at=values.parse_time(issue.get("created_at")),
            ends_at=fields.time_at(issue, "closed_at", "updated_at") if is_over else None,
            labels=fields.said(
                {
                    "project": project,
                    "type": kind,
                    "severity": fields.text_at(issue, "severity"),
                    "escalation": fields.text_at(issue, "escalation_status"),
                    "labels": ", ".join(fields.text_at(entry, "title") for entry in _labels(payload, issue)),
                }
            ),
            links=values.links((kind, issue.get("url"))),
        )
    ]


def _labels(payload: Mapping[str, Any], issue: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (fields.objects_at(payload, "labels") or fields.objects_at(issue, "labels"))[:20]


def _incident_status(issue: Mapping[str, Any]) -> AlertStatus:
    escalation = fields.text_at(issue, "escalation_status")
    if fields.text_at(issue, "state") == "closed" or escalation in ("resolved", "ignored"):
        return AlertStatus.RESOLVED
    return AlertStatus.ACKNOWLEDGED if escalation == "acknowledged" else AlertStatus.FIRING


def vulnerability(payload: Mapping[str, Any], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the event of a vulnerability.

    Raises:
        ParseError: It has no address, which is all that tells it from another one.
    """
    found = fields.object_at(payload, "object_attributes")
    url = fields.text_of(found.get("url"), limit=4096)
    if not url:
        raise ParseError("body.unexpected_shape", "the vulnerability has no url")
    is_over = fields.text_at(found, "state") in _OVER
    # The payload names no project but for its number; the address begins with its path.
    path = values.one_line(url.partition("://")[2].partition("/")[2].partition("/-/")[0], limit=values.LABEL_VALUE_MAX)
    project = path or fields.text_at(found, "project_id") or "unknown"
    severity = fields.text_at(found, "severity")
    at = values.parse_time(found.get("updated_at"))
    title = fields.text_at(found, "title") or "without a title"
    facts = _facts(found)
    return [
        AlertEvent(
            dedup_key=f"vulnerability:{url}",
            status=AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
            title=values.one_line(f"{project}: {severity.capitalize() or 'New'} vulnerability: {title}"),
            description=fields.facts_of(*facts.items()),
            raw_severity=severity,
            event_time=at,
            starts_at=values.parse_time(found.get("created_at")),
            ends_at=at if is_over else None,
            labels=fields.said(
                {
                    "alertname": "vulnerability",
                    "project": project,
                    "report_type": fields.text_at(found, "report_type"),
                    "package": facts["Package"],
                    "cve": next((name for name in facts["Known as"].split(", ") if name.startswith("CVE-")), ""),
                }
            ),
            links=values.links(("Vulnerability", url)),
            # One scan finds many: one incident for a project.
            group={"project": project, "alertname": "vulnerability"},
        )
    ]


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    location = fields.object_at(found, "location")
    package = fields.object_at(fields.object_at(location, "dependency"), "package")
    known_as = [fields.text_at(entry, "name", limit=100) for entry in fields.objects_at(found, "identifiers")[:20]]
    return {
        "Found in": fields.text_at(location, "file"),
        "Package": fields.text_at(package, "name"),
        "Known as": ", ".join(filter(None, known_as)),
    }
