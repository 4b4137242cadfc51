"""GitHub's webhooks: security alerts, workflows and checks, deployments.

Source: docs.github.com, "Webhook events and payloads", read 2026-11. The event is named in ``X-GitHub-Event``; where
that is missing (a first curl line), the payload's own members tell. The body is JSON, or a form with it in ``payload``.
Events of other names are taken and no alert is made of them, so that a hook may send everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, ParseError, load_form, load_object
from app.ingest.rules import fields
from app.ingest.sources.github import delivery, security
from app.ingest.sources.github.settings import GitHubConfig

_Make = Callable[[Mapping[str, Any], GitHubConfig], list[AlertEvent]]
_EVENTS: Mapping[str, _Make] = {
    "dependabot_alert": security.dependabot,
    "code_scanning_alert": security.code_scanning,
    "secret_scanning_alert": security.secret_scanning,
    "workflow_run": delivery.workflow_run,
    "check_run": delivery.check_run,
    "check_suite": delivery.check_suite,
    "deployment_status": delivery.deployment_status,
}
_TELLING = ("workflow_run", "check_run", "check_suite", "deployment_status")
_FORM = b"payload="


def parse(body: bytes, headers: Mapping[str, str], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the delivery's one event, none where it is about something else.

    Raises:
        ParseError: No JSON object, or one of an unknown kind without the header that names it.
    """
    is_form = body.startswith(_FORM)
    payload = load_object(load_form(body).get("payload", "").encode("utf-8", "replace") if is_form else body)
    name = headers.get("x-github-event", "").strip() or _event_name(payload)
    if not name:
        raise ParseError("body.unexpected_shape", "no event of GitHub: X-GitHub-Event is missing")
    make = _EVENTS.get(name)
    if make is None:
        return Events(notes=["a ping: the hook works" if name == "ping" else f"no alert is made of a {name[:60]}"])
    return make(payload, config)


def _event_name(payload: Mapping[str, Any]) -> str:
    named = next((name for name in _TELLING if isinstance(payload.get(name), dict)), "")
    if named:
        return named
    alert = fields.object_at(payload, "alert")
    if "security_advisory" in alert or "dependency" in alert:
        return "dependabot_alert"
    if "secret_type" in alert:
        return "secret_scanning_alert"
    if "rule" in alert:
        return "code_scanning_alert"
    return "ping" if "zen" in payload else ""


SOURCE = AlertSource(
    slug="github",
    title="GitHub",
    profile="github",
    config_model=GitHubConfig,
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        # A finding waits for the morning unless it is critical; GitHub's own words, of advisories and of code scanning.
        "high": Severity.P2,
        "error": Severity.P2,
        "medium": Severity.P3,
        "moderate": Severity.P3,
        "warning": Severity.P3,
        "note": Severity.P3,
        "leaked secret": Severity.P1,
        "failed check": Severity.P2,
        "failed deployment": Severity.P2,
        "failed production deployment": Severity.P1,
    },
    example={
        "action": "completed",
        "workflow_run": {
            "id": 1,
            "workflow_id": 1,
            "name": "A first workflow",
            "head_branch": "main",
            "status": "completed",
            "conclusion": "failure",
            "html_url": "https://github.com/example/shop/actions/runs/1",
        },
        "repository": {"id": 1, "full_name": "example/shop", "default_branch": "main"},
    },
    document="https://docs.github.com/en/webhooks/webhook-events-and-payloads",
    document_date="2026-11",
    setup="In the repository or organisation, under Settings > Webhooks, add the address as payload URL, content type "
    "application/json and the secret; choose the events workflow_run, deployment_status and the three security alerts. "
    "Add check_run or check_suite only for checks that are no GitHub Actions.",
)
