"""What the parts of a runbook document are made of."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.remediation.rules.durations import Duration


def in_a_row(value: object) -> object:
    """This will read ``3 in a row`` as 3 and leave anything else as it is."""
    match = re.fullmatch(r"(\d{1,3}) in a row", value) if isinstance(value, str) else None
    return int(match.group(1)) if match is not None else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


Positive: TypeAlias = Annotated[Duration, AfterValidator(_positive)]
Condition: TypeAlias = Annotated[str, Field(min_length=1, max_length=500)]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=2000)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=False)


class Escalate(Part):
    policy: str = Field("default", max_length=100)
    reason: Text = "The runbook hands over to a person."
