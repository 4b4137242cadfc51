"""What has to be done later: imperative, small, JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from app.core.backoff import RetryPolicy
from app.core.jobs import Job, Queue


@dataclass(frozen=True, kw_only=True)
class EnhanceTicket(Job):
    """Bring one enhancement from wherever it stands to published or failed."""

    kind: ClassVar[str] = "enhancement.enhance_ticket"
    queue: ClassVar[Queue] = Queue.ENHANCEMENT
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=6, base_s=2, factor=3, cap_s=120)

    enhancement_id: UUID


@dataclass(frozen=True, kw_only=True)
class IndexIncident(Job):
    """Make a new incident findable. The facts travel with the job, so that the hot intake path only inserts it."""

    kind: ClassVar[str] = "enhancement.index_incident"
    queue: ClassVar[Queue] = Queue.ENHANCEMENT
    priority: ClassVar[int] = 150

    incident_id: UUID
    title: str
    body: str
    opened_at: str


@dataclass(frozen=True, kw_only=True)
class LearnResolution(Job):
    """Find out how an incident ended: from its ticket where it has one, else from its own timeline."""

    kind: ClassVar[str] = "enhancement.learn_resolution"
    queue: ClassVar[Queue] = Queue.ENHANCEMENT
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=4, base_s=30, factor=4, cap_s=1800)
    priority: ClassVar[int] = 150

    incident_id: UUID
