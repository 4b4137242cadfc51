"""The use cases of remediation; others import them from here. What also enqueues work is in ``app.remediation.jobs``."""

from __future__ import annotations

from app.remediation.service.consequences import tell_runs
from app.remediation.service.ending import end_run
from app.remediation.service.reading import RunEnded, RunNotFound, get_run, list_runs
from app.remediation.service.rules import RuleNotFound, create_rule, delete_rule, get_rule, list_rules, replace_rule
from app.remediation.service.runbooks import (
    RunbookInvalid,
    RunbookNotFound,
    create_runbook,
    get_runbook,
    list_runbooks,
    validate_runbook,
)
from app.remediation.service.start import RunNotStarted, RunRequest
from app.remediation.service.targets import (
    TargetNotFound,
    create_target,
    delete_target,
    get_target,
    list_targets,
    replace_target,
)

__all__ = [
    "RuleNotFound",
    "RunEnded",
    "RunNotFound",
    "RunNotStarted",
    "RunRequest",
    "RunbookInvalid",
    "RunbookNotFound",
    "TargetNotFound",
    "create_rule",
    "create_runbook",
    "create_target",
    "delete_rule",
    "delete_target",
    "end_run",
    "get_rule",
    "get_run",
    "get_runbook",
    "get_target",
    "list_rules",
    "list_runbooks",
    "list_runs",
    "list_targets",
    "replace_rule",
    "replace_target",
    "tell_runs",
    "validate_runbook",
]
