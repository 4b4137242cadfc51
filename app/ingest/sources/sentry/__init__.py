"""Sentry's integration platform: issue alerts, metric alerts, and what becomes of issues.

Source: Sentry documentation, "Integration platform, Webhooks" (issue alerts, metric alerts, issues), read 2026-11. The
header ``Sentry-Hook-Resource`` says which: ``event_alert`` (``data.event``), ``metric_alert`` (``data.metric_alert``,
action critical, warning or resolved), ``issue`` (``data.issue``, action created, resolved, assigned, archived or
unresolved). An issue alert and the issue's own webhooks share the issue's id, so that a resolve in Sentry closes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, object_at, said, text_at, texts_at, time_at

_RESOURCES = {"event_alert": "event", "metric_alert": "metric_alert", "issue": "issue"}
_METRIC = {"critical": AlertStatus.FIRING, "warning": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}
_ISSUE = {
    "created": AlertStatus.FIRING,
    "unresolved": AlertStatus.FIRING,
    "resolved": AlertStatus.RESOLVED,
    # Put aside by somebody: Sentry is silent about it until it escalates, and then it is unresolved.
    "archived": AlertStatus.RESOLVED,
    "ignored": AlertStatus.RESOLVED,
    "assigned": AlertStatus.NOTED,
}
# Whom it happened to is nobody's business here, and would make a label of each visitor.
_PRIVATE_TAGS = frozenset({"user", "user.id", "user.email", "user.ip", "user.username"})


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the event of an alert or issue; nothing for installations, comments, errors and the like.

    Raises:
        ParseError: No data, or nothing in it that has an id.
    """
    payload = load_object(body)
    data = payload.get("data")
    if not isinstance(data, dict):
        raise ParseError("body.unexpected_shape", "there is no 'data': is it a webhook of an integration?")
    resource = headers.get("sentry-hook-resource") or next(
        (name for name, holds in _RESOURCES.items() if isinstance(data.get(holds), dict)), ""
    )
    sent_at = headers.get("sentry-hook-timestamp")
    if resource == "event_alert":
        return [_issue_alert(data)]
    if resource == "metric_alert":
        return [_metric_alert(payload, data, sent_at)]
    if resource == "issue":
        return [_issue(payload, data, sent_at)]
    return Events(notes=[f"no alert is made of a {resource[:60] or 'resource without a name'}"])


def _issue_alert(data: Mapping[str, Any]) -> AlertEvent:
    event = object_at(data, "event")
    issue_id = text_at(event, "issue_id")
    if not issue_id:
        raise ParseError("body.unexpected_shape", "an issue alert without 'data.event.issue_id'")
    project = _project(event)
    happened_at = time_at(event, "datetime", "timestamp")
    labels = {
        **_tags(event),
        "alertname": text_at(data, "triggered_rule"),
        "project": project,
        "level": text_at(event, "level"),
        "platform": text_at(event, "platform"),
        "environment": text_at(event, "environment") or _tags(event).get("environment", ""),
        "release": text_at(event, "release"),
    }
    return AlertEvent(
        dedup_key=f"issue:{issue_id}",
        status=AlertStatus.FIRING,
        title=_title(project, event),
        description=_described(event),
        raw_severity=text_at(event, "level", limit=100),
        event_time=happened_at,
        starts_at=happened_at,
        labels=said(labels),
        links=values.links(("Event", event.get("web_url"))),
    )


def _tags(event: Mapping[str, Any]) -> dict[str, str]:
    found = event.get("tags")
    pairs = [pair for pair in found if isinstance(pair, list) and len(pair) == 2] if isinstance(found, list) else []
    tags = {str(name): value for name, value in pairs if isinstance(name, str) and name not in _PRIVATE_TAGS}
    return values.clean_mapping(dict(list(tags.items())[:40]))


def _project(event: Mapping[str, Any]) -> str:
    """The project's name stands only in the address of the API."""
    parts = text_at(event, "url", limit=values.URL_MAX).split("/projects/", 1)
    path = parts[1].split("/") if len(parts) == 2 else []
    return path[1] if len(path) > 2 else ""


def _title(project: str, event: Mapping[str, Any]) -> str:
    title = text_at(event, "title", "message", limit=values.TITLE_MAX) or "An issue without a title"
    return values.one_line(f"{project}: {title}" if project else title)


def _described(event: Mapping[str, Any]) -> str:
    metadata = object_at(event, "metadata")
    lines = [text_at(event, "culprit"), text_at(metadata, "value", limit=4000), text_at(metadata, "filename")]
    return description_of(lines)


def _metric_alert(payload: Mapping[str, Any], data: Mapping[str, Any], sent_at: object) -> AlertEvent:
    alert = object_at(data, "metric_alert")
    rule = object_at(alert, "alert_rule")
    alert_id = text_at(alert, "id")
    if not alert_id:
        raise ParseError("body.unexpected_shape", "a metric alert without 'data.metric_alert.id'")
    action = text_at(payload, "action", limit=40).lower()
    status = _METRIC.get(action)
    name = text_at(rule, "name") or text_at(data, "description_title") or text_at(alert, "title")
    # The documented text has its line break as two characters.
    text = text_at(data, "description_text", limit=2000).replace("\\n", "\n")
    began_at = time_at(alert, "date_started", "date_detected")
    ended_at = values.parse_time(alert.get("date_closed")) or values.parse_time(sent_at)
    over = status is AlertStatus.RESOLVED
    return AlertEvent(
        dedup_key=f"metric_alert:{text_at(alert, 'organization_id')}:{alert_id}",
        status=status or AlertStatus.FIRING,
        title=values.one_line(": ".join(part for part in (name, text.split("\n")[0]) if part)) or "Metric alert",
        description=text,
        raw_severity="" if over else action,
        event_time=ended_at if over else began_at,
        starts_at=began_at,
        ends_at=ended_at if over else None,
        labels=said(
            {
                "alertname": name,
                "project": ", ".join(texts_at(alert, "projects", most=10)),
                "environment": text_at(rule, "environment"),
                "aggregate": text_at(rule, "aggregate"),
                "query": text_at(rule, "query"),
                "dataset": text_at(rule, "dataset"),
            }
        ),
        links=values.links(("Alert", data.get("web_url"))),
        group=said({"alertname": name, "alert_rule": text_at(rule, "id")}),
        warnings=bounded([] if status else [f"action {action!r} is not known: taken as firing"]),
    )


def _issue(payload: Mapping[str, Any], data: Mapping[str, Any], sent_at: object) -> AlertEvent:
    issue = object_at(data, "issue")
    issue_id = text_at(issue, "id")
    if not issue_id:
        raise ParseError("body.unexpected_shape", "an issue webhook without 'data.issue.id'")
    action = text_at(payload, "action", limit=40).lower()
    status = _ISSUE.get(action, AlertStatus.NOTED)
    project = text_at(object_at(issue, "project"), "slug", "name")
    first_seen = values.parse_time(issue.get("firstSeen"))
    happened_at = (first_seen if action == "created" else None) or values.parse_time(sent_at)
    return AlertEvent(
        dedup_key=f"issue:{issue_id}",
        status=status,
        title=_title(project, issue),
        description=_described(issue),
        raw_severity=text_at(issue, "level", limit=100),
        event_time=happened_at,
        starts_at=first_seen,
        ends_at=happened_at if status is AlertStatus.RESOLVED else None,
        labels=said(
            {
                "project": project,
                "issue": text_at(issue, "shortId"),
                "level": text_at(issue, "level"),
                "platform": text_at(issue, "platform"),
                "substatus": text_at(issue, "substatus"),
            }
        ),
        links=values.links(("Issue", issue.get("web_url")), ("Issue", issue.get("permalink"))),
        note=_note(action, payload, issue),
    )


def _note(action: str, payload: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    who = text_at(object_at(payload, "actor"), "name") or "Sentry"
    if action == "created" or not action:
        return ""
    if action == "assigned":
        return f"Assigned to {text_at(object_at(issue, 'assignedTo'), 'name', 'email') or 'nobody'} by {who}"
    substatus = text_at(issue, "substatus").replace("_", " ")
    return f"{action.capitalize()} by {who}" + (f" ({substatus})" if substatus else "")


SOURCE = AlertSource(
    slug="sentry",
    title="Sentry",
    profile="sentry",
    parse=parse,
    # Each exception is an error to Sentry, and hardly one of them is worth waking somebody.
    severities={**COMMON_SEVERITIES, "fatal": Severity.P1, "error": Severity.P2, "sample": Severity.P3},
    max_body_bytes=4_194_304,
    document="https://docs.sentry.io/integrations/integration-platform/webhooks/",
    document_date="2026-11",
    setup="Under Settings > Custom Integrations make an internal integration: the address as webhook URL, Alert Rule "
    "Action switched on, the webhook issue subscribed (so that what is resolved in Sentry closes here), its client "
    "secret saved as this source's secret. Then choose the integration as an action of your alert rules.",
    example={
        "action": "created",
        "actor": {"id": "sentry", "name": "Sentry", "type": "application"},
        "data": {
            "issue": {
                "id": "1",
                "shortId": "TEST-1",
                "title": "A first issue from Sentry",
                "level": "warning",
                "project": {"slug": "test"},
                "firstSeen": "2026-01-05T12:00:00Z",
            }
        },
    },
)
