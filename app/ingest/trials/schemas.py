"""A trial as callers ask for it, and the bounded difference that comes of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.http.moment import Moment
from app.incidents.schemas import Severity


class TrialState(StrEnum):
    """Whether there is a result."""

    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"


class Candidate(BaseModel):
    """The settings to try; what is left out is as the source has it."""

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any] | None = Field(None, description="Settings of the kind, whole.")
    severity_map: dict[str, Severity] | None = Field(None, max_length=100)
    default_severity: Severity | None = None
    group_by: list[str] | None = Field(None, max_length=20)
    resolve_timeout_s: int | None = Field(
        None, ge=60, le=31_536_000, description="A null that is given means: alerts do not time out."
    )


class TrialRequest(Candidate):
    """Which settings to try on which stretch of the past."""

    since: Moment | None = Field(None, description="Deliveries that came in at or after; a week back by default.")
    until: Moment | None = Field(None, description="Deliveries that came in before; now by default.")
    most: int = Field(500, ge=1, le=2_000, description="Deliveries to look at, from the oldest on.")

    def candidate(self) -> dict[str, Any]:
        """This will return the settings that were given, a given null among them."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"since", "until", "most"})
        return {name: value for name, value in given.items() if value is not None or name == "resolve_timeout_s"}


class ChangedEvent(BaseModel):
    """One alert event that the candidate reads differently."""

    delivery_id: UUID
    index: int
    dedup_key: str
    title: str
    changed: dict[str, list[str]] = Field(description="Field to its value now and with the candidate.")


class OneSided(BaseModel):
    """An alert event that only one of the two sees."""

    delivery_id: UUID
    index: int
    dedup_key: str
    title: str
    status: str
    severity: str


class ReadDifferently(BaseModel):
    """A delivery that one of the two understands and the other refuses."""

    delivery_id: UUID
    reason: str = Field(description="Why it is, or was, refused.")
    detail: str


class Regrouped(BaseModel):
    """Incidents that become one, or one that becomes several."""

    one: str
    several: list[str] = Field(description="Titles, up to 10 of them.")
    count: int


class OtherIncident(BaseModel):
    """An incident that only one of the two opens, or that ends otherwise."""

    title: str
    severity: str
    state: str
    changed: dict[str, list[str]] = Field(default_factory=dict)


class Sums(BaseModel):
    """A number under the settings as they are, and under the candidate."""

    now: int = 0
    then: int = 0


class Counts(BaseModel):
    """How much differs."""

    deliveries: int = Field(0, description="Looked at.")
    newly_understood: int = 0
    newly_refused: int = 0
    events: Sums = Field(default_factory=Sums)
    events_added: int = 0
    events_gone: int = 0
    events_changed: int = 0
    changed_fields: dict[str, int] = Field(default_factory=dict)
    alerts: Sums = Field(default_factory=Sums)
    incidents: Sums = Field(default_factory=Sums)
    incidents_added: int = 0
    incidents_gone: int = 0
    incidents_changed: int = 0
    merged: int = Field(0, description="Incidents of the candidate that gather several of today's.")
    split: int = Field(0, description="Incidents of today that the candidate scatters.")


class Examples(BaseModel):
    """Some of each, up to 20."""

    newly_understood: list[ReadDifferently] = Field(default_factory=list)
    newly_refused: list[ReadDifferently] = Field(default_factory=list)
    events_added: list[OneSided] = Field(default_factory=list)
    events_gone: list[OneSided] = Field(default_factory=list)
    events_changed: list[ChangedEvent] = Field(default_factory=list)
    incidents_added: list[OtherIncident] = Field(default_factory=list)
    incidents_gone: list[OtherIncident] = Field(default_factory=list)
    incidents_changed: list[OtherIncident] = Field(default_factory=list)
    merged: list[Regrouped] = Field(default_factory=list)
    split: list[Regrouped] = Field(default_factory=list)


class Difference(BaseModel):
    """What would have been different. Both sides begin with nothing open, and without what people did by hand."""

    same: bool
    counts: Counts
    examples: Examples
    cut: str = Field("", description="Why not all of the stretch was looked at; empty where all was.")


class TrialView(BaseModel):
    """A trial and, once it is done, its result."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source_id: UUID
    candidate: dict[str, Any]
    since: datetime
    until: datetime
    most: int
    state: TrialState
    reason: str = Field(description="Why it failed.")
    result: Difference | None
    asked_by: str
    created_at: datetime
    finished_at: datetime | None
