"""A replay as callers ask for it and see it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.http.moment import Moment
from app.incidents.schemas import PlainText


class ReplayState(StrEnum):
    """Whether a replay goes on."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class ReplayRequest(BaseModel):
    """Which deliveries to try again: those that came to nothing and meet all that is given."""

    model_config = ConfigDict(extra="forbid")

    source_id: UUID | None = Field(None, description="Of one source; of all without it.")
    states: list[Literal["rejected", "failed"]] = Field(["rejected", "failed"], min_length=1, max_length=2)
    reason: PlainText | None = Field(None, max_length=100, description="Code of why they came to nothing.")
    since: Moment | None = Field(None, description="Came in at or after.")
    until: Moment | None = Field(None, description="Came in before; now by default, so a replay ends.")
    most: int = Field(1_000, ge=1, le=100_000, description="Deliveries to try at the most.")


class ReplayView(BaseModel):
    """A replay and how far it is. What became of each delivery stands in its receipt."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: ReplayState
    wanted: dict[str, object] = Field(description="The filter.")
    most: int
    taken: int = Field(description="Deliveries put back to the intake so far.")
    processed: int = Field(description="Of those, the ones that were understood this time.")
    failed_again: int = Field(description="Of those, the ones that came to nothing again.")
    waiting: int = Field(description="Of those, the ones that the intake has not reached yet.")
    started_by: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
