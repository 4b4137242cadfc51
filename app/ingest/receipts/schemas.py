"""The whole chain of a delivery, as callers see it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from app.incidents.contract import Consequence
from app.ingest.schemas import AlertResult, ReceiptDetail, StageView


class FollowedAlert(AlertResult):
    """An alert of the delivery as it was left then, and as it is now."""

    status_now: str | None = Field(None, description="Null where the alert is gone.")
    severity_now: str | None = None


class FollowedIncident(BaseModel):
    """An incident that the delivery touched, and what followed from it."""

    id: UUID
    number: int
    title: str
    state: str
    severity: str
    created_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    opened_here: bool = Field(description="This delivery opened it; otherwise it was there before.")
    alerts: list[FollowedAlert]
    consequences: list[Consequence]


class IntakeJob(BaseModel):
    """The job that worked the delivery through."""

    id: UUID
    state: str
    attempt: int
    error: str | None
    finished_at: datetime | None


class ReceiptEffects(BaseModel):
    """The whole chain of a delivery: accepted, parsed, alerts, incidents, jobs, effects, or why not."""

    receipt: ReceiptDetail
    settled: bool = Field(description="Nothing more will happen by itself.")
    failed: bool = Field(description="The delivery came to nothing, or something that followed from it did.")
    stages: list[StageView]
    intake_job: IntakeJob | None
    incidents: list[FollowedIncident] = Field(description="Up to 20 of them.")
    unplaced: list[FollowedAlert] = Field(description="Alerts of the delivery that have no incident, with the reason.")
    incidents_not_shown: int = 0
