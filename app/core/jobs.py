"""What a job is, how it is retried, and which handler runs it. No I/O and no Celery here.

A job class is a frozen dataclass with its ``kind``, ``queue`` and ``retry`` as class variables. Payloads
are JSON; fields that a newer release added are ignored by an older worker, and a kind that a worker does not
know is parked, not dropped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from app.core.backoff import RetryPolicy


class Queue(StrEnum):
    """The Celery queues. One worker may serve several; each scales alone."""

    INTAKE = "intake"
    REMEDIATION = "remediation"
    ENHANCEMENT = "enhancement"
    NOTIFICATION = "notification"
    MAINTENANCE = "maintenance"


class JobState(StrEnum):
    """The states of ``jobs.state``; the first three are open."""

    SCHEDULED = "scheduled"
    PUBLISHED = "published"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


BACKLOG_PRIORITY = 200
"""From this priority on a job gives way, at the relay and at the broker, to those that have just come up."""


class PermanentJobError(Exception):
    """Raised by a handler when no retry can help; the job ends ``failed`` with this text as its reason."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Base of every job. Fields must be JSON-able scalars, UUIDs, lists or dicts of them.

    Attributes:
        kind: Stable name, ``domain.verb_noun``; stored in rows, so renaming one needs a migration.
        coalesces: With a unique key: False forbids a second *open* job (scheduled, published or running),
            True only a second one that *waits* (scheduled or published), as a "drain whatever is there" job needs.
        priority: A lower number is published first among the jobs of one tenant and queue.
    """

    kind: ClassVar[str]
    queue: ClassVar[Queue]
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    coalesces: ClassVar[bool] = False
    priority: ClassVar[int] = 100

    def to_payload(self) -> dict[str, Any]:
        """This will return the fields as JSON-able values; UUIDs become strings."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Self:
        """This will rebuild the job, ignoring fields that this release does not know.

        UUID fields must be annotated ``UUID`` (or a NewType of it named ``...Id``).
        """
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name in payload:
                values[field.name] = _typed(field.type, payload[field.name])
        return cls(**values)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


def _typed(annotation: object, value: object) -> object:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    base = name.removesuffix(" | None")
    if value is not None and (base == "UUID" or base.endswith("Id")):
        return UUID(str(value))
    return value


J = TypeVar("J", bound=Job)
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Registration:
    """A job class with the function that runs it.

    ``transactional`` handlers get ``(session, job, ctx)`` inside the one transaction that also finishes the
    job. Stepwise handlers get ``(ctx, job)``, open fenced transactions themselves (``ctx.transaction()``), may
    use the network between them, and may return a completion that runs in the finishing transaction.
    """

    job_class: type[Job]
    handler: Handler
    transactional: bool


class JobRegistry:
    """Kinds and their handlers; a kind registers once."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Registration] = {}

    def transactional(self, job_class: type[J]) -> Callable[[Handler], Handler]:
        """This will register ``async def handler(session, job, ctx) -> None``."""
        return self._register(job_class, transactional=True)

    def stepwise(self, job_class: type[J]) -> Callable[[Handler], Handler]:
        """This will register ``async def handler(ctx, job) -> Completion | None``."""
        return self._register(job_class, transactional=False)

    def find(self, kind: str) -> Registration | None:
        return self._by_kind.get(kind)

    def kinds(self) -> frozenset[str]:
        return frozenset(self._by_kind)

    def _register(self, job_class: type[Job], *, transactional: bool) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            known = self._by_kind.get(job_class.kind)
            if known is not None and known.job_class is not job_class:
                raise ValueError(f"two job classes claim the kind {job_class.kind!r}")
            self._by_kind[job_class.kind] = Registration(job_class, handler, transactional)
            return handler

        return register


registry = JobRegistry()
