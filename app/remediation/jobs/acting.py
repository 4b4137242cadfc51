"""Act steps: admitted, intended, done, and their outcome written, each in its own commit (``app/db/jobs/effects.py``)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.db.jobs.effects import Effect, EffectFailed, EffectResult, EffectState, ProbeVerdict, effect_key, perform
from app.db.jobs.effects import Repeat as EffectRepeat
from app.db.tenancy import TenantSession
from app.remediation.actions import actions
from app.remediation.contract import ActionTarget, InternalAction, NotApplied, ReadContext, WriteAction, WriteContext
from app.remediation.jobs.consent import decision, deny, wait_for_person
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, RunOver, Turn
from app.remediation.jobs.directives import carry_out
from app.remediation.jobs.looking import Unresolvable, resolve_arguments
from app.remediation.models import RunRow
from app.remediation.repository import runs
from app.remediation.rules.conditions import judge
from app.remediation.rules.document import ActStep
from app.remediation.rules.expression import parse_condition
from app.remediation.rules.graph import next_step
from app.remediation.rules.plan import PlannedTarget
from app.remediation.rules.states import Mode, Outcome, StepState
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
class _Prepared:
    """An act whose parameters are settled; they stay what they were when it is taken up again."""

    arguments: dict[str, Any]
    params: BaseModel
    consent: bool | None
    needs_consent: bool
    started_at: datetime


async def act(desk: Desk, at: Position, step: ActStep) -> Progress:
    """This will carry out an act step: consent where it is needed, a sentence in a dry run, else the effect."""
    action = actions()[step.do]
    try:
        prepared = await _prepare(desk, at, step)
    except Unresolvable as error:
        await _refuse(desk, at, step, outcome=Outcome.REFUSED, code="step.parameters", reason=str(error))
        return Turn.GO_ON
    if isinstance(action, InternalAction):
        return await _decide(desk, at, step, action, prepared)
    if not isinstance(action, WriteAction) or step.on is None:
        raise TypeError(f"{step.do} cannot act")
    if at.is_dry_run:
        return await _dry_run(desk, at, step, action, prepared)
    if prepared.needs_consent and prepared.consent is None:
        return _ask(desk, at, step, action, prepared)
    if prepared.needs_consent and not prepared.consent:
        otherwise = step.approval.otherwise if step.approval is not None else None
        await deny(desk, at, kind=step.kind, started=prepared.started_at, otherwise=otherwise)
        return Turn.GO_ON
    return await _Doing(desk, at, step, action, prepared).do()


async def _prepare(desk: Desk, at: Position, step: ActStep) -> _Prepared:
    action = actions()[step.do]
    async with desk.holding() as (session, run):
        row = await runs.find_step(session, run_id=run.id, key=at.key)
        if row is None:
            arguments, _ = resolve_arguments(step, at.values)
            row = await runs.add_step(
                session,
                run_id=run.id,
                key=at.key,
                kind=step.kind,
                action=step.do,
                target_id=at.plan.targets[step.on].id if step.on is not None else None,
                risk=action.spec.risk.value,
                state=StepState.PENDING.value,
                input=arguments,
                started_at=desk.now(),
            )
        return _Prepared(
            arguments=row.input,
            params=action.spec.params.model_validate(row.input),
            consent=decision(row),
            needs_consent=row.approval is not None or _needs_consent(desk, at, step),
            started_at=row.started_at,
        )


def _needs_consent(desk: Desk, at: Position, step: ActStep) -> bool:
    if step.on is None:
        return False
    if at.plan.mode is Mode.APPROVE_EACH:
        return True
    if step.approval is None:
        return False
    if step.approval.when is None:
        return True
    # What cannot be known is asked for.
    return judge(parse_condition(step.approval.when), at.values, now=desk.now()) is not False


def _ask(desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: _Prepared) -> Progress:
    target = at.plan.targets[str(step.on)]
    expires = step.approval.expires if step.approval is not None else at.deadline - desk.now()
    return wait_for_person(
        desk,
        at,
        by=step.approval.by if step.approval is not None else "engineer",
        expires=expires,
        question=f"May {at.plan.runbook} do {step.do} on {target.name} with {prepared.arguments}?",
        risk=action.spec.risk.value,
    )


async def _decide(desk: Desk, at: Position, step: ActStep, action: InternalAction, prepared: _Prepared) -> Progress:
    async with desk.holding() as (session, run):
        entry = Entry(
            kind=step.kind,
            state=StepState.DONE,
            started_at=prepared.started_at,
            output={},
        )
        await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))
        await carry_out(session, run, action.decide(prepared.params), now=desk.now())
    return Turn.GO_ON


async def _dry_run(desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: _Prepared) -> Progress:
    """Say what would be done. Nothing here can reach a client that writes, and the secret is not opened."""
    planned = at.plan.targets[str(step.on)]
    async with desk.holding() as (session, run):
        try:
            target = await open_target(session, target_id=planned.id, keyring=None)
            text = action.dry_run(target, prepared.params)
        except TargetNotFound as error:
            text = str(error)
        entry = Entry(
            kind=step.kind,
            state=StepState.SKIPPED,
            started_at=prepared.started_at,
            reason=f"dry run: {text}",
            output={"dry_run": text},
        )
        await desk.record(session, run, at, entry, go=at.cursor(next_step(at.document, step)))
    return Turn.GO_ON


async def _refuse(desk: Desk, at: Position, step: ActStep, *, outcome: Outcome, code: str, reason: str) -> None:
    async with desk.holding() as (session, run):
        entry = Entry(kind=step.kind, state=StepState.SKIPPED, started_at=desk.now(), reason=reason, action=step.do)
        await desk.record(session, run, at, entry)
        await end_run(session, run, outcome=outcome, reason=f"{at.key}: {reason}", code=code, now=desk.now())


class _Doing:
    """One effect, with what happens around it."""

    def __init__(self, desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: _Prepared) -> None:
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
            await _refuse(self._desk, self._at, self._step, outcome=outcome, code="target.changed", reason=str(error))
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
        """An act that was never intended is refused; one that may have happened and may not be repeated is unknown."""
        async with self._desk.holding() as (session, _):
            row = await runs.find_step(session, run_id=self._at.run_id, key=self._at.key)
            was_intended = row is not None and row.state == StepState.INTENT.value
        code, reason = refused.refusal.code, refused.refusal.reason
        if was_intended:
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
        await _refuse(self._desk, self._at, self._step, outcome=outcome, code=code, reason=reason)
