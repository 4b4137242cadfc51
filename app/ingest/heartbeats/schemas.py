"""Heartbeats as callers see and describe them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.incidents.schemas import Severity

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"
HeartbeatName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class HeartbeatState(StrEnum):
    """``new`` waits for its first beat and is not watched yet; ``failed`` said so itself; ``late`` missed its deadline."""

    NEW = "new"
    UP = "up"
    LATE = "late"
    FAILED = "failed"
    PAUSED = "paused"


class HeartbeatView(BaseModel):
    """One heartbeat."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source_id: UUID
    name: str
    url_path: str = Field("", description="Where its sender reports, with the source's own authentication.")
    interval_s: int
    grace_s: int
    severity: Severity
    state: HeartbeatState
    beats: int
    last_beat_at: datetime | None
    deadline_at: datetime | None = Field(description="When it counts as missed; null while it is not watched.")
    alerted_at: datetime | None = Field(description="When the open alert was raised; null while all is well.")
    created_at: datetime


class HeartbeatCreate(BaseModel):
    """What to expect."""

    model_config = ConfigDict(extra="forbid")

    source_id: UUID = Field(description="Through which it is heard of; its secret authenticates the beats.")
    name: HeartbeatName = "default"
    interval_s: int = Field(ge=1, le=2_678_400, description="Seconds between two beats.")
    grace_s: int = Field(0, ge=0, le=604_800, description="Seconds by which a beat may be late.")
    severity: Severity = Field(Severity.P1, description="Of the alert that a missed beat opens.")


class HeartbeatUpdate(BaseModel):
    """What to change; a field that is left out stays."""

    model_config = ConfigDict(extra="forbid")

    interval_s: int | None = Field(None, ge=1, le=2_678_400)
    grace_s: int | None = Field(None, ge=0, le=604_800)
    severity: Severity | None = None
    paused: bool | None = Field(
        None, description="True stops watching and ends its alert; false waits for a first beat."
    )
