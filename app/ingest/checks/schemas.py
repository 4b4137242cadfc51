"""Checks as callers see and describe them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.incidents.schemas import Severity
from app.ingest.heartbeats.schemas import HeartbeatName
from app.net.egress import parse_url
from app.net.errors import EgressRefused


def _callable_url(url: str) -> str:
    try:
        parse_url(url)
    except EgressRefused as error:
        raise ValueError(error.detail) from None
    return url


CheckedUrl = Annotated[
    str,
    Field(max_length=2000, description="What is fetched with GET; redirects are not followed."),
    AfterValidator(_callable_url),
]
Interval = Annotated[int, Field(ge=10, le=86_400, description="Seconds between two questions.")]
Timeout = Annotated[int, Field(ge=1, le=10, description="Seconds for the whole answer.")]
ExpectedStatus = Annotated[int, Field(ge=100, le=599, description="Of a healthy answer; null takes every 2xx.")]
ExpectedText = Annotated[str, Field(max_length=200, description="What a healthy body holds.")]
FailsAfter = Annotated[int, Field(ge=1, le=10, description="Wrong answers in a row that open an alert.")]


class CheckState(StrEnum):
    """``new`` was not decided yet; ``paused`` is not asked."""

    NEW = "new"
    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


class CheckView(BaseModel):
    """One check."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source_id: UUID
    name: str
    url: str
    interval_s: int
    timeout_s: int
    expected_status: int | None
    expected_text: str
    fails_after: int
    severity: Severity
    state: CheckState
    failures: int = Field(description="Wrong answers in a row.")
    error: str = Field(description="What was wrong with the last answer; empty where it was right.")
    checked_at: datetime | None
    alerted_at: datetime | None = Field(description="When the open alert was raised; null while all is well.")
    created_at: datetime


class CheckCreate(BaseModel):
    """What to ask, and what a healthy answer is."""

    model_config = ConfigDict(extra="forbid")

    source_id: UUID = Field(description="Through which its alerts come; its severities and grouping hold for them.")
    name: HeartbeatName
    url: CheckedUrl
    interval_s: Interval = 60
    timeout_s: Timeout = 5
    expected_status: ExpectedStatus | None = None
    expected_text: ExpectedText = ""
    fails_after: FailsAfter = 2
    severity: Severity = Field(Severity.P1, description="Of the alert.")


class CheckUpdate(BaseModel):
    """What to change; a field that is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: CheckedUrl | None = None
    interval_s: Interval | None = None
    timeout_s: Timeout | None = None
    expected_status: ExpectedStatus | None = None
    expected_text: ExpectedText | None = None
    fails_after: FailsAfter | None = None
    severity: Severity | None = None
    paused: bool | None = Field(None, description="True asks no more and ends its alert; false asks at once.")
