"""What the API of remediation takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from app.remediation.rules.states import Mode, Outcome, RunState, StepState

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/ -]{0,119}$")]
Labels = Annotated[
    dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=500)]], Field(max_length=50)
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TargetIn(_Request):
    """A target of the inventory. ``secret`` is write-only: a password or a bearer token.

    It goes to the place that it was given for: whoever changes ``kind`` or ``connection`` gives it again.
    """

    name: Name
    kind: Literal["http", "postgres", "redis"]
    environment: str = Field("", max_length=60)
    owner: str = Field("", max_length=200)
    labels: Labels = Field(default_factory=dict)
    connection: dict[str, Any] = Field(description="What its kind needs: http base_url; postgres and redis host, port.")
    secret: SecretStr | None = Field(
        None,
        max_length=4000,
        description="Left out at a change: the stored one stays, unless kind or connection change; then it is wanted again.",
    )


class TargetView(_View):
    id: UUID
    name: str
    kind: str
    environment: str
    owner: str
    labels: dict[str, str]
    connection: dict[str, Any]
    has_secret: bool
    created_at: datetime
    updated_at: datetime


class RuleMatch(_Request):
    """All that are given must hold; at least one must be given."""

    alert: list[Annotated[str, Field(max_length=500)]] = Field(default_factory=list, max_length=50)
    severity: list[Literal["P0", "P1", "P2", "P3"]] = Field(default_factory=list, max_length=4)
    source: str = Field("", max_length=60)
    labels: Labels = Field(default_factory=dict)


class RuleIn(_Request):
    """Starts a runbook for incidents that match.

    ``inputs`` and ``targets`` may hold ``${incident.labels.x}``; a target is always looked up in the inventory by name.
    """

    name: Name
    enabled: bool = True
    match: RuleMatch
    runbook: str = Field(max_length=80)
    inputs: dict[str, Any] = Field(default_factory=dict, max_length=50)
    targets: dict[str, Annotated[str, Field(max_length=200)]] = Field(default_factory=dict, max_length=20)
    mode: Mode = Mode.OBSERVE


class RuleView(_View):
    id: UUID
    name: str
    enabled: bool
    match: dict[str, Any]
    runbook: str
    inputs: dict[str, Any]
    targets: dict[str, str]
    mode: Mode
    created_at: datetime
    updated_at: datetime


class RunbookText(_Request):
    source: str = Field(max_length=65_536, description="The runbook as YAML.")


class ProblemView(_View):
    line: int
    path: str
    message: str


class RunbookValidation(BaseModel):
    """Whether a text would be accepted, and everything that is wrong with it."""

    valid: bool
    name: str | None = None
    version: int | None = None
    digest: str | None = None
    problems: list[ProblemView] = Field(default_factory=list)
    warnings: list[ProblemView] = Field(default_factory=list)


class RunbookView(BaseModel):
    name: str
    version: int
    about: str
    not_for: str
    digest: str
    origin: Literal["shipped", "tenant"]
    targets: dict[str, str] = Field(description="Slot and kind.")
    inputs: dict[str, Any]


class RunbookDetail(RunbookView):
    source: str
    document: dict[str, Any]


class RunbookList(BaseModel):
    """Every runbook there is; their number is bounded by the library and the tenant's own."""

    items: list[RunbookView]


class RunStart(_Request):
    """A run by hand."""

    runbook: str = Field(max_length=80)
    version: int | None = Field(None, ge=1)
    incident_id: UUID | None = None
    targets: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, description="Slot to target name."
    )
    inputs: dict[str, Any] = Field(default_factory=dict)
    dry_run: bool = False


class ApprovalIn(_Request):
    """Consent to one step of one plan, or a no."""

    step: str = Field(max_length=200)
    plan_digest: str = Field(min_length=64, max_length=64, description="As shown by the run; binds what is agreed to.")
    decision: Literal["approve", "deny"]
    reason: str = Field("", max_length=2000)


class CancelIn(_Request):
    reason: str = Field("", max_length=2000)


class RunView(_View):
    """A run. ``trace_id`` is that of the trace in which it was started."""

    id: UUID
    incident_id: UUID | None
    rule_id: UUID | None
    runbook: str
    runbook_version: int
    mode: Mode
    state: RunState
    outcome: Outcome | None
    reason_code: str
    reason: str
    escalated: bool
    acted: bool
    plan_digest: str
    started_by: dict[str, str]
    trace_id: str | None
    deadline: datetime
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class StepView(_View):
    """One entry of a run's journal."""

    key: str
    iteration: int
    kind: str
    action: str | None
    target_id: UUID | None
    risk: str | None
    state: StepState
    input: dict[str, Any]
    output: dict[str, Any] | None
    reason: str
    error: str | None
    effect_key: str | None
    approval: dict[str, Any] | None
    due_at: datetime | None
    intent_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None = None


class RunDetail(RunView):
    plan: dict[str, Any]
    steps: list[StepView]
