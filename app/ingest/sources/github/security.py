"""Dependabot, code scanning and secret scanning alerts. A leaked secret itself is never taken along."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import ParseError
from app.ingest.rules import fields, values
from app.ingest.sources.github.delivery import repository_of
from app.ingest.sources.github.settings import GitHubConfig

_OVER = ("fixed", "dismissed", "auto_dismissed", "resolved", "closed", "revoked")
_OVER_ACTIONS = ("fixed", "dismissed", "auto_dismissed", "resolved", "closed_by_user", "revoked")
_ENDS = ("fixed_at", "dismissed_at", "auto_dismissed_at", "resolved_at")


def dependabot(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a vulnerable dependency."""
    alert = fields.object_at(payload, "alert")
    advisory = fields.object_at(alert, "security_advisory")
    vulnerability = fields.object_at(alert, "security_vulnerability")
    dependency = fields.object_at(alert, "dependency")
    package = fields.object_at(dependency, "package") or fields.object_at(vulnerability, "package")
    name = fields.text_at(package, "name") or "a dependency"
    known_as = fields.text_at(advisory, "cve_id", "ghsa_id")
    fix = fields.text_at(fields.object_at(vulnerability, "first_patched_version"), "identifier")
    severity = fields.text_at(advisory, "severity") or fields.text_at(vulnerability, "severity")
    facts = (
        ("Vulnerable", fields.text_at(vulnerability, "vulnerable_version_range")),
        ("Fixed in", fix),
        ("Found in", fields.text_at(dependency, "manifest_path")),
    )
    return [
        _event(
            payload,
            kind="dependabot",
            title=f"{severity.capitalize() or 'New'} vulnerability in {name}{f' ({known_as})' if known_as else ''}",
            summary=fields.prose_at(advisory, "summary", "description"),
            facts=facts,
            severity=severity,
            labels={
                "package": name,
                "ecosystem": fields.text_at(package, "ecosystem"),
                "advisory": known_as,
                "scope": fields.text_at(dependency, "scope"),
            },
        )
    ]


def code_scanning(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a finding in the code."""
    alert = fields.object_at(payload, "alert")
    rule = fields.object_at(alert, "rule")
    instance = fields.object_at(alert, "most_recent_instance")
    location = fields.object_at(instance, "location")
    severity = fields.text_at(rule, "security_severity_level", "severity")
    facts = (
        ("Rule", fields.text_at(rule, "id")),
        ("Found in", fields.text_at(location, "path")),
        ("Line", fields.text_at(location, "start_line")),
        ("Branch", fields.text_at(instance, "ref") or fields.text_at(payload, "ref")),
    )
    return [
        _event(
            payload,
            kind="code_scanning",
            title=f"{severity.capitalize() or 'New'} finding in the code: "
            f"{fields.text_at(rule, 'description', 'name', 'id') or 'without a name'}",
            summary=fields.prose_at(fields.object_at(instance, "message"), "text") or fields.prose_at(rule, "help"),
            facts=facts,
            severity=severity,
            labels={
                "rule": fields.text_at(rule, "id"),
                "tool": fields.text_at(fields.object_at(alert, "tool"), "name"),
            },
        )
    ]


def secret_scanning(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a secret that was found where it should not be."""
    alert = fields.object_at(payload, "alert")
    kind = fields.text_at(alert, "secret_type_display_name", "secret_type") or "unknown kind"
    facts = (
        ("Validity", fields.text_at(alert, "validity")),
        ("Publicly leaked", fields.text_at(alert, "publicly_leaked")),
        ("Push protection bypassed", fields.text_at(alert, "push_protection_bypassed")),
        ("Resolution", fields.text_at(alert, "resolution")),
    )
    return [
        _event(
            payload,
            kind="secret_scanning",
            title=f"Leaked secret: {kind}",
            summary="",
            facts=facts,
            severity="leaked secret",
            labels={"secret_type": fields.text_at(alert, "secret_type"), "validity": fields.text_at(alert, "validity")},
        )
    ]


def _event(
    payload: Mapping[str, Any],
    *,
    kind: str,
    title: str,
    summary: str,
    facts: tuple[tuple[str, str], ...],
    severity: str,
    labels: Mapping[str, str],
) -> AlertEvent:
    alert = fields.object_at(payload, "alert")
    number = fields.text_of(alert.get("number"), limit=200)
    if not number:
        raise ParseError("body.unexpected_shape", "a security alert without its number")
    repository, key = repository_of(payload)
    is_over = _is_over(payload, alert)
    return AlertEvent(
        dedup_key=f"{kind}:{key}:{number}",
        status=AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
        title=values.one_line(f"{repository}: {title}"),
        description=fields.description_of((summary, fields.facts_of(*facts)), between="\n\n"),
        raw_severity=severity,
        event_time=_event_time(payload, alert, is_over=is_over),
        starts_at=values.parse_time(alert.get("created_at")),
        ends_at=fields.time_at(alert, *_ENDS) if is_over else None,
        labels=fields.said({"alertname": kind, "repository": repository, "number": number, **labels}),
        links=values.links(
            ("Alert", alert.get("html_url")), ("Repository", fields.object_at(payload, "repository").get("html_url"))
        ),
        # A new advisory strikes many packages of a repository at once: one incident.
        group={"repository": repository, "alertname": kind},
    )


def _is_over(payload: Mapping[str, Any], alert: Mapping[str, Any]) -> bool:
    state = fields.text_at(alert, "state").lower()
    return state in _OVER if state else fields.text_at(payload, "action") in _OVER_ACTIONS


def _event_time(payload: Mapping[str, Any], alert: Mapping[str, Any], *, is_over: bool) -> datetime | None:
    """An alert that is opened again without ``updated_at`` has no time of its own: that of delivery counts."""
    updated = values.parse_time(alert.get("updated_at"))
    if updated is not None:
        return updated
    if is_over:
        return fields.time_at(alert, *_ENDS)
    return values.parse_time(alert.get("created_at")) if fields.text_at(payload, "action") == "created" else None
