"""Workflows, checks and deployments: what failed last on a branch or in an environment, until it succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
_HAPPENED = {"timed_out": "timed out", "action_required": "needs somebody to act"}
_DEPLOYMENTS = {
    "failure": AlertStatus.FIRING,
    "error": AlertStatus.FIRING,
    "success": AlertStatus.RESOLVED,
}


@dataclass(frozen=True)
class _Run:
    """What runs to an end, a workflow, a check or an app's checks.

    Attributes:
        identity: What tells it from others on the same branch.
        said: What GitHub says of it.
        began: Of two runs at once the newer one tells how the branch is, whichever ends last.
    """

    kind: str
    name: str
    identity: str
    branch: str
    began: datetime | None
    said: Mapping[str, Any]

    @property
    def conclusion(self) -> str:
        return fields.text_at(self.said, "conclusion").lower()


def workflow_run(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a workflow that has run to its end."""
    said = fields.object_at(payload, "workflow_run")
    name = fields.text_at(said, "name") or "A workflow"
    identity = fields.text_of(said.get("workflow_id"), limit=200) or name
    began = values.parse_time(said.get("run_started_at"))
    return _concluded(payload, config, _Run("workflow", name, identity, _branch(said), began, said))


def check_run(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a check that has run to its end."""
    said = fields.object_at(payload, "check_run")
    name = fields.text_at(said, "name") or "A check"
    app = fields.text_at(fields.object_at(said, "app"), "slug")
    branch = _branch(fields.object_at(said, "check_suite"))
    began = values.parse_time(said.get("started_at"))
    return _concluded(payload, config, _Run("check", name, f"{app}:{name}", branch, began, said))


def check_suite(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of an app's checks of one commit."""
    said = fields.object_at(payload, "check_suite")
    app = fields.object_at(said, "app")
    name = fields.text_at(app, "name", "slug") or "An app's checks"
    identity = fields.text_at(app, "slug") or name
    began = values.parse_time(said.get("created_at"))
    return _concluded(payload, config, _Run("suite", name, identity, _branch(said), began, said))


def _branch(said: Mapping[str, Any]) -> str:
    return fields.text_at(said, "head_branch")


def _concluded(payload: Mapping[str, Any], config: GitHubConfig, run: _Run) -> list[AlertEvent]:
    repository, key = repository_of(payload)
    status = _CONCLUSIONS.get(run.conclusion)
    if status is None:
        said = run.conclusion or fields.text_at(run.said, "status") or "not concluded"
        return Events(notes=[f"a {run.kind} that is {said[:40]} neither fails nor succeeds"])
    if not config.all_branches and not _is_default(payload, run):
        return Events(notes=["not on the default branch; set all_branches to hear of every branch"])
    happened = _HAPPENED.get(run.conclusion, "failed") if status is AlertStatus.FIRING else "succeeded"
    return [
        AlertEvent(
            dedup_key=fields.compound_key(run.kind, key, run.identity, run.branch),
            status=status,
            title=values.one_line(f"{repository}: {run.name} {happened}{f' on {run.branch}' if run.branch else ''}"),
            description=_description(run.said),
            raw_severity="failed check",
            event_time=run.began,
            starts_at=run.began,
            ends_at=fields.time_at(run.said, "completed_at", "updated_at") if status is AlertStatus.RESOLVED else None,
            labels=fields.said(
                {
                    "alertname": run.name,
                    "repository": repository,
                    "branch": run.branch,
                    "kind": run.kind,
                    "conclusion": run.conclusion,
                    "actor": fields.text_at(fields.object_at(run.said, "actor"), "login"),
                }
            ),
            links=values.links(("Run", run.said.get("html_url")), ("Details", run.said.get("details_url"))),
            group={"repository": repository, "branch": run.branch or "none"},
        )
    ]


def _is_default(payload: Mapping[str, Any], run: _Run) -> bool:
    """Whether it ran on the default branch; a pull request from a fork often comes from the fork's own "main"."""
    if fields.text_at(run.said, "event").startswith("pull_request"):
        return False
    default = fields.text_at(fields.object_at(payload, "repository"), "default_branch")
    return not default or run.branch == default


def deployment_status(payload: Mapping[str, Any], config: GitHubConfig) -> list[AlertEvent]:
    """This will return the event of a deployment that failed or succeeded."""
    said = fields.object_at(payload, "deployment_status")
    deployment = fields.object_at(payload, "deployment")
    repository, key = repository_of(payload)
    state = fields.text_at(said, "state").lower()
    status = _DEPLOYMENTS.get(state)
    if status is None:
        return Events(notes=[f"a deployment that is {state[:40] or 'without a state'} neither fails nor succeeds"])
    environment = fields.text_at(said, "environment") or fields.text_at(deployment, "environment") or "an environment"
    is_production = deployment.get("production_environment") is True or environment.lower() == "production"
    at = fields.time_at(said, "updated_at", "created_at")
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


def repository_of(payload: Mapping[str, Any]) -> tuple[str, str]:
    """This will return the repository's name for people, and its id, which stays when it is renamed or moved.

    Raises:
        ParseError: There is neither.
    """
    repository = fields.object_at(payload, "repository")
    name = fields.text_at(repository, "full_name", "name")
    key = fields.text_of(repository.get("id"), limit=200) or name
    if not key:
        raise ParseError("body.unexpected_shape", "the repository is missing")
    return name or f"Repository {key}", key


def _description(run: Mapping[str, Any]) -> str:
    commit = fields.text_at(run, "head_sha")
    message = fields.text_at(fields.object_at(run, "head_commit"), "message")
    return fields.facts_of(
        ("Commit", f"{commit[:12]} {message}".strip()),
        ("Output", fields.text_at(fields.object_at(run, "output"), "title", "summary")),
        ("Triggered by", fields.text_at(run, "event")),
        ("Attempt", fields.text_at(run, "run_attempt")),
    )
