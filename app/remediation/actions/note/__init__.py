"""``note``: a text on the incident's timeline. Written in the same transaction as its outcome, so exactly once."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.remediation.contract import ActionSpec, InternalAction
from app.remediation.contract import Note as WriteNote
from app.remediation.rules.spec import Nothing, Risk


class Params(BaseModel, extra="forbid"):
    text: str = Field(min_length=1, max_length=2000)


def decide(params: Params) -> WriteNote:
    return WriteNote(params.text)


ACTION = InternalAction(
    spec=ActionSpec(
        slug="note",
        about="Writes a text on the incident's timeline.",
        params=Params,
        output=Nothing,
        risk=Risk.IDEMPOTENT,
        target_kind=None,
    ),
    decide=decide,
)
