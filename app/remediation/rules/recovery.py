"""How a runbook says what recovery is: clauses that are sampled over time, and what to do when they do not hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from app.remediation.rules.durations import Duration
from app.remediation.rules.parts import Condition, Escalate, Part, Positive, in_a_row


class CheckClause(Part):
    """Repeats a check of the runbook and judges what it says now; ``before.<check>`` is what it said first."""

    check: str
    condition: Condition = Field(alias="is")


class AlertClause(Part):
    alert: str = Field(min_length=1, max_length=500)
    state: Literal["resolved"] = Field(alias="is")


def _clause_of(value: Any) -> str | None:
    if isinstance(value, Part):
        return f"{'check' if isinstance(value, CheckClause) else 'alert'}-clause"
    found = [name for name in ("check", "alert") if isinstance(value, dict) and name in value]
    return f"{found[0]}-clause" if len(found) == 1 else None


Clause: TypeAlias = Annotated[
    Annotated[CheckClause, Tag("check-clause")] | Annotated[AlertClause, Tag("alert-clause")],
    Discriminator(
        _clause_of,
        custom_error_type="clause_kind",
        custom_error_message="a clause is {check: step, is: condition} or {alert: name, is: resolved}",
    ),
]


class IfNot(Part):
    undo: Literal[False] = False
    escalate: Escalate = Escalate(reason="The runbook ran and the trouble is still there.")


class IfUnknown(Part):
    escalate: Escalate = Escalate(reason="It could not be verified whether the runbook helped.")


class Recovered(Part):
    """How recovery is judged, apart from whether the steps worked.

    Attributes:
        after: Pause before the first sample.
        need: Samples in a row that must all be good.
    """

    after: Duration = timedelta(0)
    every: Positive
    duration: Positive = Field(alias="for")
    need: Annotated[int, BeforeValidator(in_a_row), Field(ge=1, le=100)] = 2
    all: list[Clause] = Field(min_length=1, max_length=10)
    then: Literal["resolve", "leave_open"] = "resolve"
    if_not: IfNot = IfNot()
    if_unknown: IfUnknown = IfUnknown()
