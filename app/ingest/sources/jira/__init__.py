"""Jira's webhooks for issues, Cloud and Data Center.

Source: developer.atlassian.com, Jira platform, "Webhooks", read 2026-11. ``timestamp`` (milliseconds), ``webhookEvent``
(``jira:issue_created``, ``_updated``, ``_deleted``), ``user``, ``issue`` as in the REST API, ``changelog.items``. An issue is
over when its status belongs to the category ``done``, whatever the status is called. Of comments, work logs, sprints and
whatever else a hook may send no alert is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import AlertEvent, AlertStatus, Severity, TicketRef
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, ParseError, load_object
from app.ingest.rules import fields, values
from app.ingest.sources.jira.documents import document_text

_EVENTS = {"jira:issue_created": "created", "jira:issue_updated": "updated", "jira:issue_deleted": "closed"}
_CHANGES_MAX = 20


class JiraConfig(BaseModel):
    """What a tenant may set for a Jira source.

    Attributes:
        web_url: Where people open Jira; by default taken from the issue's own address.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    web_url: str = Field("", max_length=500)


def parse(body: bytes, headers: Mapping[str, str], config: JiraConfig) -> list[AlertEvent]:
    """This will return the issue's one event, none where it is about something else.

    Raises:
        ParseError: No JSON object, or nothing that Jira sends about an issue.
    """
    payload = load_object(body)
    said = fields.text_at(payload, "webhookEvent")
    event = _EVENTS.get(said)
    if event is None and said:
        return Events(notes=[f"no alert is made of a {said[:60]}"])
    issue = fields.object_at(payload, "issue")
    key, issue_id = fields.text_at(issue, "key"), fields.text_of(issue.get("id"), limit=4096)
    if event is None or not (issue_id or key):
        raise ParseError("body.unexpected_shape", "no issue of Jira: webhookEvent, or the issue's id, is missing")
    return [_event(payload, issue, config, event=event, key=key, issue_id=issue_id)]


def _event(
    payload: Mapping[str, Any], issue: Mapping[str, Any], config: JiraConfig, *, event: str, key: str, issue_id: str
) -> AlertEvent:
    own = fields.object_at(issue, "fields")
    status = fields.object_at(own, "status")
    is_done = fields.text_at(fields.object_at(status, "statusCategory"), "key").lower() == "done"
    is_over = is_done or event == "closed"
    at = values.parse_time(payload.get("timestamp")) or fields.time_at(own, "updated", "created")
    url = _url(issue, config, key)
    summary = fields.text_at(own, "summary", limit=values.TITLE_MAX)
    changes = _changes(payload)
    return AlertEvent(
        # The key changes when an issue moves to another project, the id never does.
        dedup_key=f"issue:{issue_id or key}",
        status=AlertStatus.RESOLVED if is_over else AlertStatus.FIRING,
        title=values.one_line(f"{key}: {summary}" if key and summary else summary or f"Issue {key or issue_id}"),
        description=document_text(own.get("description")),
        raw_severity=_name(own, "priority"),
        event_time=at,
        starts_at=values.parse_time(own.get("created")),
        ends_at=(values.parse_time(own.get("resolutiondate")) or at) if is_over else None,
        labels=_labels(own, status),
        annotations={"changes": changes} if changes else {},
        links=values.links(("Issue", url)),
        ticket=TicketRef(
            system="jira",
            external_id=key or issue_id[:200],
            url=url,
            requester=_person(fields.object_at(own, "reporter")),
            event="closed" if is_over else event,
        ),
        warnings=() if status or event == "closed" else ("the issue's status is missing: taken as open",),
    )


def _name(own: Mapping[str, Any], field: str) -> str:
    return fields.text_at(fields.object_at(own, field), "name")


def _labels(own: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, str]:
    components = [fields.text_at(entry, "name") for entry in fields.objects_at(own, "components")[:20]]
    return fields.said(
        {
            "project": fields.text_at(fields.object_at(own, "project"), "key", "name"),
            "issue_type": _name(own, "issuetype"),
            "priority": _name(own, "priority"),
            "status": fields.text_at(status, "name"),
            "components": ", ".join(components)[: values.LABEL_VALUE_MAX],
            "labels": ", ".join(fields.texts_at(own, "labels"))[: values.LABEL_VALUE_MAX],
            "assignee": fields.text_at(fields.object_at(own, "assignee"), "displayName", "name"),
        }
    )


def _person(person: Mapping[str, Any]) -> str:
    name, mail = fields.text_at(person, "displayName", "name"), fields.text_at(person, "emailAddress", limit=254)
    return f"{name} <{mail}>" if name and mail and mail != name else name or mail


def _changes(payload: Mapping[str, Any]) -> str:
    """What the update changed, ``status: Open -> In Progress``."""
    items = fields.objects_at(fields.object_at(payload, "changelog"), "items")[:_CHANGES_MAX]
    changes = [
        f"{fields.text_at(item, 'field', limit=100)}: {fields.text_at(item, 'fromString', limit=100) or 'nothing'} -> "
        f"{fields.text_at(item, 'toString', limit=100) or 'nothing'}"
        for item in items
    ]
    return "; ".join(changes)[: values.ANNOTATION_MAX]


def _url(issue: Mapping[str, Any], config: JiraConfig, key: str) -> str:
    """The page for people: the payload's ``self`` is the API's address of the same site."""
    base = config.web_url.rstrip("/") or fields.text_of(issue.get("self"), limit=values.URL_MAX).partition("/rest/")[0]
    link = values.safe_link("Issue", f"{base}/browse/{key}") if base and key else None
    return link.url if link is not None else ""


SOURCE = AlertSource(
    slug="jira",
    title="Jira",
    profile="jira",
    config_model=JiraConfig,
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        # What its default schemes have besides, Highest to Lowest and Blocker to Trivial.
        "highest": Severity.P0,
        "lowest": Severity.P3,
        "blocker": Severity.P0,
        "major": Severity.P2,
        "trivial": Severity.P3,
    },
    example={
        "timestamp": 1767614400000,
        "webhookEvent": "jira:issue_created",
        "issue": {
            "id": "1",
            "key": "OPS-1",
            "fields": {
                "summary": "A first issue",
                "priority": {"name": "Low"},
                "status": {"name": "To Do", "statusCategory": {"key": "new"}},
            },
        },
    },
    document="https://developer.atlassian.com/cloud/jira/platform/webhooks/",
    document_date="2026-11",
    setup="As an administrator, under System > WebHooks, add the address with the secret and a JQL filter, and choose issue "
    "created, updated and deleted. Hooks of automation rules and apps are not signed: for those choose the profile "
    "header_token and send the secret in X-Tocsin-Token.",
)
