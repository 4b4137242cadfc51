"""What follows from incidents, told by the domains above: each registers one teller, so that nobody here knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.db.jobs.reading import FoundJob
from app.db.tenancy import TenantSession
from app.incidents.schemas import IncidentView

MAX_CONSEQUENCES = 200
"""Of one receipt; a teller stops there."""


class ConsequenceStep(BaseModel):
    """One step of something that followed."""

    model_config = ConfigDict(frozen=True)

    key: str
    kind: str = ""
    state: str
    reason: str = ""
    at: datetime | None = None
    ended_at: datetime | None = None


class Consequence(BaseModel):
    """One thing that followed from an incident, or the reason why it did not."""

    model_config = ConfigDict(frozen=True)

    incident_id: UUID
    kind: str = Field(description="job, runbook_rule, run, enhancement, notification and what later releases add.")
    id: UUID | None = Field(None, description="Of the thing itself, where there is one.")
    title: str
    state: str
    settled: bool = Field(description="Nothing more will happen by itself.")
    failed: bool = Field(False, description="It ended without what it was there for.")
    reason_code: str = ""
    reason: str = ""
    at: datetime | None = None
    ended_at: datetime | None = None
    trace_id: str | None = None
    steps: list[ConsequenceStep] = Field(default_factory=list)

    @classmethod
    def of_job(cls, job: FoundJob, *, incident_id: UUID, title: str) -> Consequence:
        """This will tell of a job that has made nothing to be shown yet, or nothing but itself."""
        return cls(
            incident_id=incident_id,
            kind="job",
            id=job.id,
            title=title,
            state=job.state,
            settled=not job.is_open,
            failed=job.is_broken,
            reason=job.error or "",
            at=job.created_at,
            ended_at=job.finished_at,
            trace_id=job.trace_id,
        )


Teller = Callable[[TenantSession, Sequence[IncidentView]], Awaitable[Sequence[Consequence]]]
"""Says, in a fixed number of statements, what followed from the incidents."""

_tellers: dict[str, Teller] = {}


def tells(domain: str) -> Callable[[Teller], Teller]:
    """This will register the decorated function as the one that speaks for ``domain``.

    Raises:
        ValueError: The domain has another one already.
    """

    def register(teller: Teller) -> Teller:
        if _tellers.setdefault(domain, teller) is not teller:
            raise ValueError(f"two functions tell what {domain} made of incidents")
        return teller

    return register


async def tell_consequences(session: TenantSession, incidents: Sequence[IncidentView]) -> list[Consequence]:
    """This will gather what every domain has to say, domains in the order of their names."""
    if not incidents:
        return []
    told: list[Consequence] = []
    for _, teller in sorted(_tellers.items()):
        told += await teller(session, incidents)
    return told
