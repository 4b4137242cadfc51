"""The runbook document: six kinds of steps and ``use``, what they work on, and how recovery is judged."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from app.remediation.rules.durations import Duration
from app.remediation.rules.parts import Condition, Escalate, Part, Positive, Text
from app.remediation.rules.recovery import Recovered
from app.remediation.rules.spec import Risk

STEP_KINDS = ("check", "act", "decide", "wait", "ask", "tell", "use")
MAX_STEPS = 60
VERIFY = "verify"
END_NOOP = "end_noop"
ENDS = frozenset({VERIFY, END_NOOP})
RESERVED = ENDS | {"inputs", "incident", "target", "checks", "before", "item", "first", "else", "recovered", "undo"}
_SLUG = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


def _key(value: str) -> str:
    if _KEY.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a name: lower case letters, digits and _, at most 40")
    if value in RESERVED:
        raise ValueError(f"{value!r} is reserved; choose another name")
    return value


Key: TypeAlias = Annotated[str, AfterValidator(_key)]
Goto: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="A step's name, verify or end_noop.")
]
Values: TypeAlias = dict[str, Any]


class Match(Part):
    """Which alerts the runbook is meant for; a rule decides whether it is really started."""

    alert: list[str] | str = Field(default_factory=list, description="Alert name(s).")
    severity: list[Literal["P0", "P1", "P2", "P3"]] = Field(default_factory=list)
    source: str = Field("", description="Kind of source, as alertmanager.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that must have exactly these values.")


class TargetSlot(Part):
    kind: str = Field(min_length=1, max_length=60)
    about: str = Field("", max_length=300)


class Input(Part):
    """A typed parameter of a run."""

    type: Literal["int", "number", "string", "boolean"]
    default: int | float | str | bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    values: list[int | float | str] | None = Field(None, min_length=1, description="The only values allowed.")
    max_length: int = Field(200, ge=1, le=2000)
    about: str = Field("", max_length=300)


class Limits(Part):
    """What a run may do at most.

    Attributes:
        per_target: Runs on one target at once; there is never more than one.
        per_hour: Acts on one target in an hour, whichever runbook does them.
        cooldown: Time between the last act on a target and the first act of the next run there.
    """

    ceiling: Risk
    per_target: Literal[1] = 1
    per_hour: int = Field(3, ge=1, le=60)
    cooldown: Duration = timedelta(0)
    run_timeout: Positive


class Approval(Part):
    """Consent of a person that one act needs; without ``when`` always."""

    when: Condition | None = None
    by: Literal["responder", "engineer", "admin"] = "engineer"
    expires: Positive
    otherwise: Goto | None = Field(None, alias="else")


class Undo(Part):
    do: str
    arguments: Values = Field(default_factory=dict, alias="with")
    when: Literal["verify_failed"] = "verify_failed"


class _Step(Part):
    KIND: ClassVar[str]

    @property
    def key(self) -> str:
        return str(getattr(self, self.KIND))

    @property
    def kind(self) -> str:
        return self.KIND


class CheckStep(_Step):
    """Reads; changes nothing."""

    KIND = "check"
    check: Key
    do: str
    on: str | None = None
    arguments: Values = Field(default_factory=dict, alias="with")
    timeout: Positive
    on_error: Goto | None = None
    then: Goto | None = None


class ActStep(_Step):
    """Changes something, once, within budgets, and journalled."""

    KIND = "act"
    act: Key
    do: str
    on: str | None = None
    arguments: Values = Field(default_factory=dict, alias="with")
    timeout: Positive
    approval: Approval | None = None
    undo: Undo | None = None
    on_error: Goto | None = None
    then: Goto | None = None


class Branch(Part):
    condition: Condition = Field(alias="if")
    go: Goto


class DecideStep(_Step):
    """Goes where the first condition that holds says."""

    KIND = "decide"
    decide: Key
    first: list[Branch] = Field(min_length=1, max_length=20)
    otherwise: Goto = Field(alias="else")


class WaitStep(_Step):
    """A durable pause: for a time, or until a repeated check satisfies a condition."""

    KIND = "wait"
    wait: Key
    duration: Positive | None = Field(None, alias="for")
    until: Condition | None = None
    check: str | None = Field(None, description="The check that is repeated; with until.")
    every: Positive | None = None
    timeout: Positive | None = None
    on_timeout: Goto | None = None
    then: Goto | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> WaitStep:
        repeated = (self.until, self.check, self.every, self.timeout)
        if (self.duration is None) == (self.until is None):
            raise ValueError("a wait has either 'for' or 'until'")
        if self.until is not None and None in repeated:
            raise ValueError("a wait with 'until' also needs check, every and a time-out: timeout")
        if self.duration is not None and any(part is not None for part in (*repeated, self.on_timeout)):
            raise ValueError("a wait with 'for' takes nothing but 'then'")
        return self


class AskStep(_Step):
    """Asks a person; silence until ``expires`` is a no."""

    KIND = "ask"
    ask: Key
    question: Text
    by: Literal["responder", "engineer", "admin"] = "engineer"
    expires: Positive
    otherwise: Goto | None = Field(None, alias="else")
    then: Goto | None = None


class TellStep(_Step):
    """Writes a note, or hands over to a person."""

    KIND = "tell"
    tell: Key
    text: Text | None = None
    escalate: Escalate | None = None
    then: Goto | None = None

    @model_validator(mode="after")
    def _says_something(self) -> TellStep:
        if self.text is None and self.escalate is None:
            raise ValueError("a tell has a text, an escalate, or both")
        if self.escalate is not None and self.then is not None:
            raise ValueError("an escalate ends the run; it has no 'then'")
        return self


class UseStep(_Step):
    """Goes on with another runbook of the library, on the same targets."""

    KIND = "use"
    use: Key
    runbook: str = Field(pattern=f"^{_SLUG}$")


def _kind_of(value: Any) -> str | None:
    if isinstance(value, _Step):
        return f"{value.kind}-step"
    found = [kind for kind in STEP_KINDS if isinstance(value, dict) and kind in value]
    # A wait may name the check that it repeats.
    if found == ["check", "wait"]:
        return "wait-step"
    return f"{found[0]}-step" if len(found) == 1 else None


Step: TypeAlias = Annotated[
    Annotated[CheckStep, Tag("check-step")]
    | Annotated[ActStep, Tag("act-step")]
    | Annotated[DecideStep, Tag("decide-step")]
    | Annotated[WaitStep, Tag("wait-step")]
    | Annotated[AskStep, Tag("ask-step")]
    | Annotated[TellStep, Tag("tell-step")]
    | Annotated[UseStep, Tag("use-step")],
    Discriminator(
        _kind_of,
        custom_error_type="step_kind",
        custom_error_message=f"a step has exactly one of {', '.join(STEP_KINDS)} and its name as value",
    ),
]


class Document(Part):
    """A whole runbook."""

    runbook: str = Field(pattern=f"^{_SLUG}$", max_length=80)
    version: int = Field(ge=1, le=1_000_000)
    about: str = Field(min_length=1, max_length=500)
    not_for: str = Field("", max_length=500)
    match: Match = Match()
    targets: dict[Key, TargetSlot] = Field(default_factory=dict)
    inputs: dict[Key, Input] = Field(default_factory=dict)
    limits: Limits
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)
    recovered: Recovered
