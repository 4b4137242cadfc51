"""``resolve``: ends the incident. Reserved for the engine, which uses it only after recovery was proven."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.remediation.contract import ActionSpec, InternalAction, Resolution
from app.remediation.rules.spec import Nothing, Risk


class Params(BaseModel, extra="forbid"):
    reason: str = Field(min_length=1, max_length=2000)


def decide(params: Params) -> Resolution:
    return Resolution(params.reason)


ACTION = InternalAction(
    spec=ActionSpec(
        slug="resolve",
        about="Resolves the incident after a proven recovery.",
        params=Params,
        output=Nothing,
        risk=Risk.IDEMPOTENT,
        target_kind=None,
        reserved=True,
    ),
    decide=decide,
)
