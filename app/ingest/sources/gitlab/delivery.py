"""Pipelines, jobs and deployments: what failed last on a branch or in an environment, until it succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus
from app.ingest.contract import Events, ParseError
from app.ingest.rules import fields, values
from app.ingest.sources.gitlab.settings import GitLabConfig

_STATUSES = {"failed": AlertStatus.FIRING, "success": AlertStatus.RESOLVED}
_OF_MERGE_REQUESTS = ("merge_request_event", "external_pull_request_event")
_KINDS_OF_PIPELINE = {"schedule": "scheduled", "parent_pipeline": "child", "pipeline": "downstream"}


def pipeline(payload: Mapping[str, Any], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the event of a pipeline that has failed or succeeded."""
    run = fields.object_at(payload, "object_attributes")
    ref, source = fields.text_at(run, "ref"), fields.text_at(run, "source")
    status = _STATUSES.get(fields.text_at(run, "status"))
    refused = _not_told(payload, config, ref=ref, what="pipeline", is_proposal=source in _OF_MERGE_REQUESTS)
    if status is None or refused is not None:
        return _neither("pipeline", fields.text_at(run, "status")) if refused is None else refused
    return [_pipeline_event(payload, run, status, ref=ref, source=source)]


def _pipeline_event(
    payload: Mapping[str, Any], run: Mapping[str, Any], status: AlertStatus, *, ref: str, source: str
) -> AlertEvent:
    project, key = project_of(payload)
    # A nightly pipeline's success says nothing about what was pushed, nor a child's about its parent.
    kind = _KINDS_OF_PIPELINE.get(source, "")
    commit = fields.object_at(payload, "commit")
    now = "failed" if status is AlertStatus.FIRING else "succeeded"
    # Of two pipelines at once the newer one tells how the branch is, whichever ends last.
    began = values.parse_time(run.get("created_at"))
    return AlertEvent(
        dedup_key=fields.compound_key("pipeline", key, ref, kind),
        status=status,
        title=values.one_line(f"{project}: {f'{kind} ' if kind else ''}pipeline {now}{f' on {ref}' if ref else ''}"),
        description=fields.facts_of(
            ("Failed jobs", ", ".join(_failed_jobs(payload))),
            ("Commit", fields.text_at(commit, "title", "message")),
            ("Author", fields.text_at(fields.object_at(commit, "author"), "name")),
        ),
        raw_severity="failed pipeline",
        event_time=began,
        starts_at=began,
        ends_at=values.parse_time(run.get("finished_at")) if status is AlertStatus.RESOLVED else None,
        labels=fields.said(
            {
                "alertname": "pipeline",
                "project": project,
                "ref": ref,
                "source": source,
                "user": fields.text_at(fields.object_at(payload, "user"), "username", "name"),
            }
        ),
        links=values.links(("Pipeline", run.get("url")), ("Commit", commit.get("url"))),
        group={"project": project, "ref": ref or "none"},
    )


def _failed_jobs(payload: Mapping[str, Any]) -> list[str]:
    return [
        f"{fields.text_at(build, 'stage')}: {fields.text_at(build, 'name')}"
        for build in fields.objects_at(payload, "builds")
        if build.get("status") == "failed" and build.get("allow_failure") is not True
    ][:20]


def job(payload: Mapping[str, Any], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the event of a job that has failed or succeeded."""
    ref, name = fields.text_at(payload, "ref"), fields.text_at(payload, "build_name") or "a job"
    stage = fields.text_at(payload, "build_stage")
    status = _STATUSES.get(fields.text_at(payload, "build_status"))
    refused = _not_told(payload, config, ref=ref, what="job")
    if status is None or refused is not None:
        return _neither("job", fields.text_at(payload, "build_status")) if refused is None else refused
    if status is AlertStatus.FIRING and payload.get("build_allow_failure") is True:
        return Events(notes=["the job is allowed to fail"])
    project, key = project_of(payload)
    now = "failed" if status is AlertStatus.FIRING else "succeeded"
    web_url = fields.text_at(fields.object_at(payload, "project"), "web_url")
    number = fields.text_at(payload, "build_id")
    return [
        AlertEvent(
            dedup_key=fields.compound_key("job", key, ref, stage, name),
            status=status,
            title=values.one_line(f"{project}: job {name} {now}{f' on {ref}' if ref else ''}"),
            description=fields.facts_of(
                ("Reason", fields.text_at(payload, "build_failure_reason").replace("_", " ")),
                ("Commit", fields.text_at(fields.object_at(payload, "commit"), "message")),
            ),
            raw_severity="failed job",
            event_time=values.parse_time(payload.get("build_created_at")),
            starts_at=values.parse_time(payload.get("build_created_at")),
            ends_at=values.parse_time(payload.get("build_finished_at")) if status is AlertStatus.RESOLVED else None,
            labels=fields.said({"alertname": name, "project": project, "ref": ref, "stage": stage}),
            links=values.links(("Job", f"{web_url}/-/jobs/{number}" if web_url and number.isdigit() else "")),
            group={"project": project, "ref": ref or "none"},
        )
    ]


def deployment(payload: Mapping[str, Any], config: GitLabConfig) -> list[AlertEvent]:
    """This will return the event of a deployment that has failed or succeeded."""
    status = _STATUSES.get(fields.text_at(payload, "status"))
    if status is None:
        return _neither("deployment", fields.text_at(payload, "status"))
    project, key = project_of(payload)
    environment = fields.text_at(payload, "environment") or "an environment"
    at = values.parse_time(payload.get("status_changed_at"))
    now = "failed" if status is AlertStatus.FIRING else "succeeded"
    return [
        AlertEvent(
            dedup_key=fields.compound_key("deployment", key, environment),
            status=status,
            title=values.one_line(f"{project}: deployment to {environment} {now}"),
            description=fields.facts_of(("Commit", fields.text_at(payload, "commit_title"))),
            raw_severity=fields.text_at(payload, "environment_tier") or "other",
            event_time=at,
            starts_at=at if status is AlertStatus.FIRING else None,
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels=fields.said(
                {
                    "alertname": "deployment",
                    "project": project,
                    "environment": environment,
                    "tier": fields.text_at(payload, "environment_tier"),
                    "user": fields.text_at(fields.object_at(payload, "user"), "username", "name"),
                }
            ),
            links=values.links(
                ("Job", payload.get("deployable_url")),
                ("Commit", payload.get("commit_url")),
                ("Environment", payload.get("environment_external_url")),
            ),
        )
    ]


def project_of(payload: Mapping[str, Any]) -> tuple[str, str]:
    """This will return the project's name for people, and its id, which stays when it is renamed or moved.

    Raises:
        ParseError: There is neither.
    """
    project = fields.object_at(payload, "project")
    name = fields.text_at(project, "path_with_namespace", "name") or fields.text_at(payload, "project_name")
    key = fields.text_of(project.get("id") or payload.get("project_id"), limit=200) or name
    if not key:
        raise ParseError("body.unexpected_shape", "the project is missing")
    return name or f"Project {key}", key


def _not_told(
    payload: Mapping[str, Any], config: GitLabConfig, *, ref: str, what: str, is_proposal: bool = False
) -> Events | None:
    default = fields.text_at(fields.object_at(payload, "project"), "default_branch")
    if config.all_branches or (not is_proposal and (not default or ref == default)):
        return None
    return Events(notes=[f"a {what} that is not on the default branch; set all_branches to hear of every branch"])


def _neither(what: str, status: str) -> Events:
    return Events(notes=[f"a {what} that is {status[:40] or 'without a status'} has neither failed nor succeeded"])
