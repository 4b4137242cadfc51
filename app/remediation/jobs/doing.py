"""Doing one act: admitted, intended, done, and its outcome written, each in its own commit (``app/db/jobs/effects.py``)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.db.jobs.effects import (
    Effect,
    EffectFailed,
    EffectResult,
    EffectState,
    ProbeVerdict,
    effect_key,
    find_state,
    perform,
)
from app.db.jobs.effects import Repeat as EffectRepeat
from app.db.tenancy import TenantSession
from app.remediation.contract import ActionTarget, NotApplied, ReadContext, WriteAction, WriteContext
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, RunOver, Turn
from app.remediation.models import RunRow
from app.remediation.repository import runs
from app.remediation.rules.document import ActStep
from app.remediation.rules.graph import next_step
from app.remediation.rules.plan import PlannedTarget
from app.remediation.rules.states import Outcome, StepState
from app.remediation.service.admission import Act, ActRefused, admit
from app.remediation.service.ending import end_run
from app.remediation.service.targets import TargetNotFound, open_target
from app.remediation.service.telling import audit_run

_STATES = {
    EffectState.DONE: StepState.DONE,
    EffectState.FAILED: StepState.FAILED,
    EffectState.UNKNOWN: StepState.UNKNOWN,
    EffectState.INTENT: StepState.INTENT,
}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An act whose parameters are settled; they stay what they were when it is taken up again."""

    arguments: dict[str, Any]
    params: BaseModel
    consent: bool | None
    needs_consent: bool
    started_at: datetime


async def refuse(desk: Desk, at: Position, step: ActStep, *, outcome: Outcome, code: str, reason: str) -> None:
    """This will end the run because the act may not or cannot be done."""
    async with desk.holding() as (session, run):
        entry = Entry(kind=step.kind, state=StepState.SKIPPED, started_at=desk.now(), reason=reason, action=step.do)
        await desk.record(session, run, at, entry)
        await end_run(session, run, outcome=outcome, reason=f"{at.key}: {reason}", code=code, now=desk.now())


class Doing:
    """One effect, with what happens around it."""

    def __init__(self, desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: Prepared) -> None:
        self._desk = desk
        self._at = at
        self._step = step
        self._action = action
        self._prepared = prepared
        self._planned: PlannedTarget = at.plan.targets[str(step.on)]
        self._key = effect_key(
            "remediation", desk.ctx.tenant_id, at.run_id, at.key, 0, self._planned.id, step.do, prepared.arguments
        )

    async def do(self) -> Progress:
        """This will perform the effect and write its outcome."""
        try:
            target = await self._open()
            result = await perform(
                self._desk.ctx,
                self._effect(),
                send=lambda deadline: self._send(target, deadline),
                probe=(lambda _: self._probe(target)) if self._action.probe is not None else None,
                on_intent=self._on_intent,
                on_outcome=self._on_outcome,
            )
        except ActRefused as refused:
            await self._refused(refused)
            return Turn.GO_ON
        except TargetNotFound as error:
            outcome = Outcome.REFUSED
            await refuse(self._desk, self._at, self._step, outcome=outcome, code="target.changed", reason=str(error))
            return Turn.GO_ON
        if result.replayed:
            async with self._desk.ctx.transaction() as session:
                await self._on_outcome(session, result)
        return Turn.GO_ON

    def _effect(self) -> Effect:
        return Effect(
            key=self._key,
            kind=self._step.do,
            target=str(self._planned.id),
            request={"run_id": str(self._at.run_id), "step": self._at.key, "arguments": self._prepared.arguments},
            timeout_s=self._step.timeout.total_seconds(),
            repeat=EffectRepeat(self._action.repeat(self._prepared.params).value),
        )

    async def _open(self) -> ActionTarget:
        async with self._desk.holding() as (session, _):
            return await open_target(session, target_id=self._planned.id, keyring=self._desk.keyring)

    async def _send(self, target: ActionTarget, deadline: float) -> dict[str, Any]:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise EffectFailed("not sent: the deadline had passed")
        context = WriteContext(
            target=target,
            timeout_s=min(remaining, self._step.timeout.total_seconds()),
            http=self._desk.write_http(),
            effect_key=self._key,
        )
        try:
            output = await self._action.run(context, self._prepared.params)
        except NotApplied as error:
            raise EffectFailed(str(error)) from error
        return output.model_dump(mode="json")

    async def _probe(self, target: ActionTarget) -> ProbeVerdict:
        if self._action.probe is None:
            return ProbeVerdict.CANNOT_TELL
        context = ReadContext(
            target=target,
            timeout_s=self._step.timeout.total_seconds(),
            http=self._desk.read_http(),
            resolver=self._desk.resolver(),
        )
        return ProbeVerdict((await self._action.probe(context, self._prepared.params, self._key)).value)

    async def _on_intent(self, session: TenantSession) -> None:
        now = self._desk.now()
        run = await runs.lock_run(session, self._at.run_id)
        row = await runs.find_step(session, run_id=self._at.run_id, key=self._at.key)
        if run is None or row is None:
            raise RunOver
        asked = Act(run_id=run.id, step_key=self._at.key, iteration=0, action=self._step.do, target=self._planned)
        limits = self._desk.settings.remediation
        await admit(session, run, plan=self._at.plan, act=asked, limits=limits, now=now)
        row.state, row.effect_key = StepState.INTENT.value, self._key
        row.intent_at, row.intent_epoch = now, self._desk.ctx.lease_epoch
        row.snapshot = {"fingerprint": self._planned.fingerprint}
        run.acted = True
        await session.flush()
        detail = {"step": self._at.key, "action": self._step.do, "target": self._planned.name, "effect": self._key}
        await audit_run(session, run, action="run.act_intended", detail=detail, now=now)

    async def _on_outcome(self, session: TenantSession, result: EffectResult) -> None:
        run = await runs.lock_run(session, self._at.run_id)
        if run is None:
            raise RunOver
        error = str(result.outcome.get("error", "")) or None
        go = self._way(result)
        entry = Entry(
            kind=self._step.kind,
            state=_STATES[result.state],
            started_at=self._prepared.started_at,
            reason="found done by a look at the target" if result.recovered else "",
            error=error if result.state is not EffectState.DONE else None,
            output=result.outcome,
        )
        await self._desk.record(session, run, self._at, entry, go=self._at.cursor(go) if go is not None else None)
        if go is None:
            await self._end(session, run, result, error or "nobody can tell whether it was done")

    def _way(self, result: EffectResult) -> str | None:
        if result.state is EffectState.DONE:
            return next_step(self._at.document, self._step)
        return self._step.on_error if result.state is EffectState.FAILED else None

    async def _end(self, session: TenantSession, run: RunRow, result: EffectResult, error: str) -> None:
        is_unknown = result.state is EffectState.UNKNOWN
        await end_run(
            session,
            run,
            outcome=Outcome.UNKNOWN_EFFECT if is_unknown else Outcome.NOT_RECOVERED,
            reason=f"{self._at.key}: {error}",
            code="act.unknown" if is_unknown else "act.failed",
            now=self._desk.now(),
        )

    async def _refused(self, refused: ActRefused) -> None:
        """An act that was never sent is refused; one that may have happened and may not be repeated is unknown."""
        async with self._desk.holding() as (session, _):
            is_unclear = await find_state(session, key=self._key) is EffectState.INTENT
        code, reason = refused.refusal.code, refused.refusal.reason
        if is_unclear:
            reason = f"an earlier call is unclear and was not repeated: {reason}"
            async with self._desk.ctx.transaction() as session:
                await self._on_outcome(session, EffectResult(EffectState.UNKNOWN, {"error": reason}))
            return
        outcomes = {
            "incident.over": Outcome.NO_ACTION_NEEDED,
            "run.stopped": Outcome.CANCELLED,
            "run.deadline": Outcome.EXPIRED,
        }
        outcome = outcomes.get(code, Outcome.REFUSED)
        await refuse(self._desk, self._at, self._step, outcome=outcome, code=code, reason=reason)
