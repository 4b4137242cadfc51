"""What the operations API shows and takes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.jobs import JobState, Queue


class JobView(BaseModel):
    """A job as its tenant sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    queue: str
    state: JobState
    parked: bool = Field(description="True while no running release knows the kind.")
    attempt: int
    max_attempts: int
    run_at: datetime
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(JobView):
    """The same with what it was asked to do and by which trace."""

    payload: dict[str, Any]
    priority: int
    lease_until: datetime | None
    worker: str | None
    trace_context: str | None


class PauseRequest(BaseModel):
    """Which queue to pause or resume."""

    model_config = ConfigDict(extra="forbid")

    queue: Queue | None = Field(None, description="One queue; leave it out for all of them.")
    reason: str = Field("", max_length=500, description="Shown to whoever finds it paused.")


class PauseView(BaseModel):
    """A pause that holds now."""

    model_config = ConfigDict(from_attributes=True)

    queue: str = Field(description="A queue's name, or * for all.")
    reason: str
    paused_at: datetime


class PauseList(BaseModel):
    """Every pause of this tenant."""

    items: list[PauseView]
