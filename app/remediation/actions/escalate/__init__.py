"""``escalate``: hands the incident over to a person. Steps reach it through a tell with ``escalate``."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.remediation.contract import ActionSpec, Escalation, InternalAction
from app.remediation.rules.spec import Nothing, Risk


class Params(BaseModel, extra="forbid"):
    policy: str = Field("default", max_length=100)
    reason: str = Field(min_length=1, max_length=2000)


def decide(params: Params) -> Escalation:
    return Escalation(params.policy, params.reason)


ACTION = InternalAction(
    spec=ActionSpec(
        slug="escalate",
        about="Hands the incident over to a person.",
        params=Params,
        output=Nothing,
        risk=Risk.IDEMPOTENT,
        target_kind=None,
        reserved=True,
    ),
    decide=decide,
)
