"""``wait``: a durable pause. The run's row says when it goes on; no process waits."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, Field

from app.remediation.contract import ActionSpec, InternalAction, Pause
from app.remediation.rules.spec import Nothing, Risk


class Params(BaseModel, extra="forbid"):
    seconds: int = Field(ge=1, le=86_400)


def decide(params: Params) -> Pause:
    return Pause(timedelta(seconds=params.seconds))


ACTION = InternalAction(
    spec=ActionSpec(
        slug="wait",
        about="Pauses the run; wait steps use it.",
        params=Params,
        output=Nothing,
        risk=Risk.READ,
        target_kind=None,
        reserved=True,
    ),
    decide=decide,
)
