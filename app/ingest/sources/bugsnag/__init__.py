"""BugSnag: new, frequent and reopened errors, spikes, and what people did to an error, as its webhook sends them.

Source: BugSnag, "Webhook" (payload of ``account``, ``project``, ``trigger``, ``error``, ``release``, ``comment``,
``user``), read 2026-11. ``trigger.type`` says what happened; a change by hand says in ``trigger.stateChange`` which:
fixed, ignored, snoozed, reopened, unignored, snoozeCancelled. A webhook carries no credential but its address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, frame_of, object_at, objects_at, prose_at, said, text_at

_RESOLVE_TIMEOUT_S = 86_400
_OF_ERRORS = frozenset({"firstException", "exception", "powerTen", "errorEventFrequency", "reopened"})
_OF_PROJECTS = {
    "projectSpiking": "spike in errors",
    "projectSamplingStarted": "events are being rate-limited",
    "projectApproachingRateLimit": "close to being rate-limited",
}
# An ignored error is over for whoever is on call; of a snoozed one BugSnag speaks again when it passes its limit.
_CHANGES = {
    **dict.fromkeys(("fixed", "ignored", "discarded"), AlertStatus.RESOLVED),
    **dict.fromkeys(("reopened", "unignored", "snoozeCancelled"), AlertStatus.FIRING),
    "snoozed": AlertStatus.ACKNOWLEDGED,
}
_SHOWN_FRAMES = 5


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event, none for releases and for changes that say nothing about the error's state.

    Raises:
        ParseError: No JSON object, or one without a trigger and what it is about.
    """
    payload = load_object(body)
    trigger, project = object_at(payload, "trigger"), object_at(payload, "project")
    kind = text_at(trigger, "type", limit=60)
    if not kind:
        raise ParseError("body.unexpected_shape", "no event of BugSnag: 'trigger.type' is needed")
    if kind == "release":
        return Events(notes=["no alert is made of a release"])
    if kind in _OF_PROJECTS:
        return [_project_event(kind, trigger, project)]
    error = object_at(payload, "error")
    # Not ``error.id``: that is of the one event, and what ends the error has another.
    identity = text_at(error, "errorId", limit=200)
    if not identity:
        raise ParseError("body.unexpected_shape", f"{kind!r} has no 'error.errorId'")
    return _error_events(kind, identity, payload)


def _error_events(kind: str, identity: str, payload: Mapping[str, Any]) -> list[AlertEvent]:
    error, trigger, by = object_at(payload, "error"), object_at(payload, "trigger"), object_at(payload, "user")
    key, who = f"error:{identity}", text_at(by, "name", limit=100)
    if kind == "comment":
        note = prose_at(object_at(payload, "comment"), "message", limit=values.DESCRIPTION_MAX)
        written = f"{who}: {note}" if who else note
        if not note:
            return Events(notes=["a comment that says nothing"])
        return [_error_event(key, AlertStatus.NOTED, payload, note=written)]
    if kind == "errorStateManualChange":
        change = text_at(trigger, "stateChange", limit=60) or text_at(error, "status", limit=60)
        status = _CHANGES.get(change)
        # A person did it, just now: the error's own times are of its last event.
        note = f"{change} by {who}" if who else ""
        if status is None:
            return Events(notes=[f"the change {change or 'without a name'} says nothing about the error's state"])
        return [_error_event(key, status, payload, note=note)]
    warnings = () if kind in _OF_ERRORS else (f"trigger {kind!r} is not known: taken as firing",)
    at = values.parse_time(error.get("receivedAt"))
    return [_error_event(key, AlertStatus.FIRING, payload, at=at, warnings=warnings)]


def _project_event(kind: str, trigger: Mapping[str, Any], project: Mapping[str, Any]) -> AlertEvent:
    identity, name = text_at(project, "id", limit=200), text_at(project, "name", limit=200)
    if not identity and not name:
        raise ParseError("body.unexpected_shape", f"{kind!r} names no project")
    rate = text_at(trigger, "rate", limit=40)
    happened = _OF_PROJECTS[kind]
    return AlertEvent(
        dedup_key=f"project:{identity or name}:{'spike' if kind == 'projectSpiking' else 'rate-limit'}",
        status=AlertStatus.FIRING,
        title=f"{name or identity}: {happened}" + (f" ({rate} events)" if rate else ""),
        description=prose_at(trigger, "message"),
        raw_severity=kind,
        labels=said({"alertname": happened, "project": name, "release_stage": text_at(trigger, "releaseStage")}),
        links=values.links(("Project", project.get("url"))),
    )


def _error_event(
    key: str,
    status: AlertStatus,
    payload: Mapping[str, Any],
    *,
    at: datetime | None = None,
    note: str = "",
    warnings: tuple[str, ...] = (),
) -> AlertEvent:
    error, project = object_at(payload, "error"), object_at(payload, "project")
    issue = object_at(error, "createdIssue")
    return AlertEvent(
        dedup_key=key,
        status=status,
        title=_title(error, project),
        description=_description(object_at(payload, "trigger"), error),
        raw_severity=text_at(error, "severity", limit=40),
        event_time=at,
        labels=_labels(error, project),
        links=values.links(("Error", error.get("url")), ("Issue", issue.get("url")), ("Project", project.get("url"))),
        note=note,
        warnings=bounded(warnings),
    )


def _title(error: Mapping[str, Any], project: Mapping[str, Any]) -> str:
    what = ": ".join(
        part for part in (text_at(error, "exceptionClass", limit=200), text_at(error, "message", limit=250)) if part
    )
    where = text_at(error, "context", limit=100) or text_at(project, "name", limit=100)
    return values.one_line(f"{what or 'Error'} in {where}" if where else what) or "Error without a name"


def _labels(error: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, str]:
    # Of ``app`` and ``device`` payloads send what the notifier knew.
    return said(
        {
            "alertname": text_at(error, "exceptionClass"),
            "project": text_at(project, "name"),
            "release_stage": text_at(error, "releaseStage") or text_at(object_at(error, "app"), "releaseStage"),
            "app_version": text_at(error, "appVersion") or text_at(object_at(error, "app"), "version"),
            "context": text_at(error, "context"),
            "host": text_at(object_at(error, "device"), "hostname"),
            "unhandled": text_at(error, "unhandled"),
        }
    )


def _description(trigger: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    frames = (
        frame_of(text_at(frame, "method", limit=100), text_at(frame, "file", limit=300), text_at(frame, "lineNumber"))
        for frame in objects_at(error, "stackTrace")[:_SHOWN_FRAMES]
    )
    said_of_it = (text_at(trigger, "message"), prose_at(error, "message", limit=4000), text_at(error, "requestUrl"))
    return description_of((*said_of_it, *frames))


SOURCE = AlertSource(
    slug="bugsnag",
    title="BugSnag",
    profile="url_secret",
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        "error": Severity.P2,
        "warning": Severity.P3,
        "projectspiking": Severity.P1,
        "projectsamplingstarted": Severity.P2,
        "projectapproachingratelimit": Severity.P3,
    },
    resolve_timeout_s=_RESOLVE_TIMEOUT_S,
    example={
        "account": {"id": "acc1", "name": "Example", "url": "https://app.bugsnag.com/accounts/example"},
        "project": {"id": "prj1", "name": "shop", "url": "https://app.bugsnag.com/example/shop"},
        "trigger": {"type": "firstException", "message": "New error"},
        "error": {
            "id": "evt1",
            "errorId": "err1",
            "exceptionClass": "NoMethodError",
            "message": "undefined method 'total'",
            "context": "orders#create",
            "releaseStage": "production",
            "severity": "error",
            "receivedAt": "2026-01-05T12:00:00.000Z",
            "url": "https://app.bugsnag.com/example/shop/errors/err1",
        },
    },
    document="https://docs.bugsnag.com/product/integrations/data-forwarding/webhook/",
    document_date="2026-11-21",
    setup="In the project's settings under Integrations > Data forwarding > Webhook enter the address with its secret. "
    "Choose new, reopened and frequent errors, spikes, comments, and changes of state by collaborators: a fixed or ignored "
    "error resolves its alert, a snoozed one counts as acknowledged. Spikes never end by themselves: alerts not heard of "
    "for a day are resolved.",
)
