"""Workflows, checks and deployments: what failed last on a branch or in an environment, until it succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import Events, ParseError
from app.ingest.rules import fields, values
from app.ingest.sources.github.settings import GitHubConfig

_CONCLUSIONS = {
    "failure": AlertStatus.FIRING,
    "timed_out": AlertStatus.FIRING,
    "startup_failure": AlertStatus.FIRING,
    "action_required": AlertStatus.FIRING,
    "success": AlertStatus.RESOLVED,
    "neutral": AlertStatus.RESOLVED,
}
_DEPLOYMENTS = {
    "failure": AlertStatus.FIRING,
    "error": AlertStatus.FIRING,
    "success": AlertStatus.RESOLVED,
}


def workflow_run(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a workflow that has run to its end."""
    run = fields.object_at(payload, "workflow_run")
    name = fields.text_at(run, "name") or "A workflow"
    identity = fields.text_of(run.get("workflow_id"), limit=200) or name
    return _concluded(
        payload, run, config, kind="workflow", name=name, identity=identity, began=run.get("run_started_at")
    )


def check_run(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a check that has run to its end."""
    run = fields.object_at(payload, "check_run")
    name = fields.text_at(run, "name") or "A check"
    app = fields.text_at(fields.object_at(run, "app"), "slug")
    branch = fields.text_at(fields.object_at(run, "check_suite"), "head_branch")
    return _concluded(
        payload,
        {**run, "head_branch": branch},
        config,
        kind="check",
        name=name,
        identity=f"{app}:{name}",
        began=run.get("started_at"),
    )


def check_suite(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of an app's checks of one commit."""
    suite = fields.object_at(payload, "check_suite")
    app = fields.object_at(suite, "app")
    name = fields.text_at(app, "name", "slug") or "An app's checks"
    return _concluded(
        payload,
        suite,
        config,
        kind="suite",
        name=name,
        identity=fields.text_at(app, "slug") or name,
        began=suite.get("created_at"),
    )


def _concluded(
    payload: Mapping[str, Any],
    run: Mapping[str, Any],
    config: GitHubConfig,
    *,
    kind: str,
    name: str,
    identity: str,
    began: object,
) -> list[AlertEvent]:
    repository, key = _repository(payload)
    branch = fields.text_at(run, "head_branch")
    conclusion = fields.text_at(run, "conclusion").lower()
    status = _CONCLUSIONS.get(conclusion)
    if status is None:
        said = conclusion or fields.text_at(run, "status") or "not concluded"
        return Events(notes=[f"a {kind} that is {said[:40]} neither fails nor succeeds"])
    default = fields.text_at(fields.object_at(payload, "repository"), "default_branch")
    # A pull request from a fork often comes from the fork's own "main".
    is_proposal = fields.text_at(run, "event").startswith("pull_request")
    if not config.all_branches and (is_proposal or (default and branch != default)):
        return Events(notes=[f"not on the default branch {default[:60]!r}; set all_branches to hear of every branch"])
    commit = fields.text_at(run, "head_sha")
    happened = {"timed_out": "timed out", "action_required": "needs somebody to act"}.get(conclusion, "failed")
    now = happened if status is AlertStatus.FIRING else "succeeded"
    return [
        AlertEvent(
            dedup_key=fields.compound_key(kind, key, identity, branch),
            status=status,
            title=values.one_line(f"{repository}: {name} {now}{f' on {branch}' if branch else ''}"),
            description=_description(run, commit),
            raw_severity="failed check",
            # Of two runs at once the newer one tells how the branch is, whichever ends last.
            event_time=values.parse_time(began),
            starts_at=values.parse_time(began),
            ends_at=_ended_at(run) if status is AlertStatus.RESOLVED else None,
            labels=fields.said(
                {
                    "alertname": name,
                    "repository": repository,
                    "branch": branch,
                    "kind": kind,
                    "conclusion": conclusion,
                    "actor": fields.text_at(fields.object_at(run, "actor"), "login"),
                }
            ),
            links=values.links(("Run", run.get("html_url")), ("Details", run.get("details_url"))),
            group={"repository": repository, "branch": branch or "none"},
        )
    ]


def deployment_status(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a deployment that failed or succeeded."""
    said = fields.object_at(payload, "deployment_status")
    deployment = fields.object_at(payload, "deployment")
    repository, key = _repository(payload)
    state = fields.text_at(said, "state").lower()
    status = _DEPLOYMENTS.get(state)
    if status is None:
        return Events(notes=[f"a deployment that is {state[:40] or 'without a state'} neither fails nor succeeds"])
    environment = fields.text_at(said, "environment") or fields.text_at(deployment, "environment") or "an environment"
    is_production = deployment.get("production_environment") is True or environment.lower() == "production"
    at = values.parse_time(said.get("updated_at") or said.get("created_at"))
    now = "failed" if status is AlertStatus.FIRING else "succeeded"
    return [
        AlertEvent(
            dedup_key=fields.compound_key("deployment", key, environment),
            status=status,
            title=values.one_line(f"{repository}: deployment to {environment} {now}"),
            description=fields.prose_at(said, "description") or fields.prose_at(deployment, "description"),
            raw_severity="failed production deployment" if is_production else "failed deployment",
            event_time=at,
            starts_at=at if status is AlertStatus.FIRING else None,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=fields.said(
                {
                    "alertname": "deployment",
                    "repository": repository,
                    "environment": environment,
                    "ref": fields.text_at(deployment, "ref"),
                    "task": fields.text_at(deployment, "task"),
                    "creator": fields.text_at(fields.object_at(said, "creator"), "login"),
                }
            ),
            links=values.links(
                ("Log", said.get("log_url") or said.get("target_url")), ("Environment", said.get("environment_url"))
            ),
        )
    ]


def _repository(payload: Mapping[str, Any]) -> tuple[str, str]:
    repository = fields.object_at(payload, "repository")
    name = fields.text_at(repository, "full_name", "name")
    key = fields.text_of(repository.get("id"), limit=200) or name
    if not key:
        raise ParseError("body.unexpected_shape", "the repository is missing")
    return name or f"Repository {key}", key


def _description(run: Mapping[str, Any], commit: str) -> str:
    message = fields.text_at(fields.object_at(run, "head_commit"), "message")
    facts = (
        ("Commit", f"{commit[:12]} {message}".strip()),
        ("Output", fields.text_at(fields.object_at(run, "output"), "title", "summary")),
        ("Triggered by", fields.text_at(run, "event")),
        ("Attempt", fields.text_at(run, "run_attempt")),
    )
    return values.clean_text("\n".join(f"{what}: {said}" for what, said in facts if said), limit=4000)


def _ended_at(run: Mapping[str, Any]) -> datetime | None:
    return values.parse_time(run.get("completed_at") or run.get("updated_at"))
