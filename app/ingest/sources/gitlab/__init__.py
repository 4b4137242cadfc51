"""GitLab's webhooks: pipelines, jobs, deployments, incidents and vulnerabilities.

Source: docs.gitlab.com, "Webhook events", read 2026-11. ``object_kind`` names the event: ``pipeline``, ``build`` (a job),
``deployment``, ``issue`` and ``work_item`` (of ``type`` Incident; GitLab makes one of each alert where its alert
management is told to), ``vulnerability``. Of other kinds no alert is made, so that a hook may send everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, ParseError, load_object
from app.ingest.rules import fields
from app.ingest.sources.gitlab import delivery, reports
from app.ingest.sources.gitlab.settings import GitLabConfig

_Make = Callable[[Mapping[str, Any], GitLabConfig], list[AlertEvent]]
_KINDS: Mapping[str, _Make] = {
    "pipeline": delivery.pipeline,
    "build": delivery.job,
    "deployment": delivery.deployment,
    "issue": reports.incident,
    "work_item": reports.incident,
    "vulnerability": reports.vulnerability,
}


def parse(body: bytes, headers: Mapping[str, str], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the delivery's one event, none where it is about something else.

    Raises:
        ParseError: No JSON object, or nothing that GitLab sends.
    """
    payload = load_object(body)
    kind = fields.text_at(payload, "object_kind", "event_name")
    if not kind:
        raise ParseError("body.unexpected_shape", "no event of GitLab: object_kind is missing")
    make = _KINDS.get(kind)
    return make(payload, config) if make is not None else Events(notes=[f"no alert is made of a {kind[:60]}"])


SOURCE = AlertSource(
    slug="gitlab",
    title="GitLab",
    profile="gitlab",
    config_model=GitLabConfig,
    parse=parse,
    severities={
        **COMMON_SEVERITIES,
        "unknown": Severity.P2,
        "failed pipeline": Severity.P2,
        "failed job": Severity.P2,
        # Deployments by the tier of their environment.
        "production": Severity.P1,
        "staging": Severity.P2,
        "testing": Severity.P3,
        "development": Severity.P3,
        "other": Severity.P3,
    },
    example={
        "object_kind": "pipeline",
        "object_attributes": {"id": 1, "ref": "main", "status": "failed", "source": "push"},
        "project": {"id": 1, "path_with_namespace": "example/shop", "default_branch": "main"},
    },
    document="https://docs.gitlab.com/user/project/integrations/webhook_events/",
    document_date="2026-11",
    setup="In the project or group, under Settings > Webhooks, add the address and the secret as secret token; choose "
    "pipeline, deployment and issue events (incidents are among them), and vulnerability events where you have them. Job "
    "events repeat what pipelines say, job by job.",
)
