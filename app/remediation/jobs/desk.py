"""What every kind of step needs: the run held in a fenced transaction, the names it may use, and the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

import structlog

from app.db.jobs.context import Completion, JobContext, RetryLater
from app.db.tenancy import TenantSession
from app.net.keyring import KeyRing
from app.net.outbound import OutboundHttp
from app.observability.metrics import counter, histogram
from app.remediation.jobs.clients import GuardedReadHttp, GuardedResolver, GuardedWriteHttp
from app.remediation.models import RunRow, RunStepRow
from app.remediation.repository import runs
from app.remediation.rules.document import Document, Step
from app.remediation.rules.plan import Plan
from app.remediation.rules.states import Mode, RunState, StepState
from app.remediation.service.telling import tell
from app.settings import Settings

log = structlog.get_logger(__name__)

STEPS = counter("tocsin_run_steps_total", "Steps of runbook runs, by kind and how they ended.", ("kind", "state"))
STEP_SECONDS = histogram("tocsin_run_step_seconds", "Seconds that a step of a run took.", ("kind",))


class RunOver(Exception):
    """The run has ended meanwhile, or is in a person's hands: there is nothing to drive."""


class Turn(Enum):
    """GO_ON: the cursor has moved, take the next step."""

    GO_ON = "go_on"


Progress: TypeAlias = Turn | Completion


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run is.

    Attributes:
        frame: Path of ``use`` steps that led here; empty in the runbook itself.
        at: The step's own name, or an end.
        values: The names that the step may use, with their values.
    """

    run_id: UUID
    plan: Plan
    frame: str
    at: str
    values: Mapping[str, Any]
    deadline: datetime
    incident_id: UUID | None
    cancel_requested: bool
    open_intent: bool

    @property
    def document(self) -> Document:
        return self.plan.frames[self.frame]

    @property
    def step(self) -> Step | None:
        return next((step for step in self.document.steps if step.key == self.at), None)

    @property
    def key(self) -> str:
        """The step's full name, unique in the run."""
        return self.named(self.at)

    @property
    def is_dry_run(self) -> bool:
        return self.plan.mode is Mode.DRY_RUN

    def named(self, key: str) -> str:
        return f"{self.frame}/{key}" if self.frame else key

    def cursor(self, key: str) -> str:
        return f"{self.frame}:{key}"

    def seen_again(self, check: str, output: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values with a check's newest output; what the checks had found first is ``before``."""
        before = self.values["checks"]
        return {**self.values, check: output, "checks": {**before, check: output}, "before": before}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the journal keeps of a finished step."""

    kind: str
    state: StepState
    started_at: datetime
    reason: str = ""
    error: str | None = None
    input: Mapping[str, Any] | None = None
    output: Mapping[str, Any] | None = None
    action: str | None = None
    target_id: UUID | None = None
    risk: str | None = None


class Desk:
    """The equipment of one job that drives one run."""

    def __init__(self, ctx: JobContext, run_id: UUID) -> None:
        self.ctx = ctx
        self.run_id = run_id
        self.settings = ctx.resources.get(Settings)
        self.keyring = ctx.resources.get(KeyRing)

    def now(self) -> datetime:
        return self.ctx.clock.now()

    def read_http(self) -> GuardedReadHttp:
        return GuardedReadHttp(self.ctx.resources.get(OutboundHttp))

    def write_http(self) -> GuardedWriteHttp:
        return GuardedWriteHttp(self.ctx.resources.get(OutboundHttp))

    def resolver(self) -> GuardedResolver:
        security = self.settings.security
        return GuardedResolver(security.egress_allow, timeout_s=security.egress_connect_timeout_s)

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[tuple[TenantSession, RunRow]]:
        """This will open a fenced transaction that holds the run's row.

        Raises:
            RunOver: It has ended, or waits for a person.
        """
        async with self.ctx.transaction() as session:
            run = await runs.lock_run(session, self.run_id)
            if run is None or run.state != RunState.RUNNING.value:
                raise RunOver
            yield session, run

    async def locate(self) -> Position:
        """This will read where the run is and what its steps have left behind.

        Raises:
            RunOver: It has ended, or waits for a person.
        """
        async with self.holding() as (session, run):
            frame, _, at = run.cursor.partition(":")
            plan = Plan.from_json(run.plan)
            outputs = await runs.outputs_of(session, run.id)
            return Position(
                run_id=run.id,
                plan=plan,
                frame=frame,
                at=at,
                values=_values(plan, frame, outputs),
                deadline=run.deadline,
                incident_id=run.incident_id,
                cancel_requested=run.cancel_requested,
                open_intent=await runs.has_open_intent(session, run.id),
            )

    async def pause(self, at: Position, until: datetime, *, reason: str) -> Turn:
        """This will put the run's job back until then, at the latest until the run's deadline.

        Returns:
            GO_ON where somebody has cancelled the run meanwhile: what they woke is this very job.

        Raises:
            RetryLater: Nobody has.
        """
        async with self.holding() as (_, run):
            if run.cancel_requested:
                return Turn.GO_ON
        raise RetryLater(min(until, at.deadline), reason=reason)

    async def record(
        self, session: TenantSession, run: RunRow, at: Position, entry: Entry, *, go: str | None = None
    ) -> RunStepRow:
        """This will write the step's end into the journal and onto the timeline, and move the cursor."""
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        if row is None:
            row = await runs.add_step(
                session,
                run_id=run.id,
                key=at.key,
                kind=entry.kind,
                state=entry.state.value,
                started_at=entry.started_at,
            )
        _fill(row, entry, self.now())
        if go is not None:
            run.cursor = go
        run.updated_at = self.now()
        await session.flush()
        await self._tell_step(session, run, at, entry)
        return row

    async def _tell_step(self, session: TenantSession, run: RunRow, at: Position, entry: Entry) -> None:
        STEPS.labels(entry.kind, entry.state.value).inc()
        STEP_SECONDS.labels(entry.kind).observe(max(0.0, (self.now() - entry.started_at).total_seconds()))
        log.info("run.step", run_id=str(run.id), step=at.key, step_kind=entry.kind, state=entry.state.value)
        await tell(
            session,
            run,
            kind="run.step",
            summary=f"{run.runbook}: {entry.kind} {at.key} {entry.state.value}",
            reason=entry.error or entry.reason,
            now=self.now(),
            data={"step": at.key, "kind": entry.kind, "state": entry.state.value, "action": entry.action},
        )


def _fill(row: RunStepRow, entry: Entry, now: datetime) -> None:
    row.state, row.reason, row.error = entry.state.value, entry.reason[:2000], (entry.error or "")[:2000] or None
    row.finished_at = now
    for name in ("input", "output", "action", "target_id", "risk"):
        value = getattr(entry, name)
        if value is not None:
            setattr(row, name, dict(value) if isinstance(value, Mapping) else value)


def _values(plan: Plan, frame: str, outputs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    prefix = f"{frame}/" if frame else ""
    own = {
        key.removeprefix(prefix): output
        for key, output in outputs.items()
        if key.startswith(prefix) and "/" not in key.removeprefix(prefix)
    }
    return {**plan.base_values(frame), "checks": own, **own}
