"""Act steps: what they need before anything is done, and the ways that do nothing outside."""

from __future__ import annotations

from app.remediation.actions import actions
from app.remediation.contract import InternalAction, WriteAction
from app.remediation.jobs.consent import decision, deny, wait_for_person
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, Turn
from app.remediation.jobs.directives import carry_out
from app.remediation.jobs.doing import Doing, Prepared, refuse
from app.remediation.jobs.looking import Unresolvable, resolve_arguments
from app.remediation.repository import runs
from app.remediation.rules.conditions import judge
from app.remediation.rules.document import ActStep
from app.remediation.rules.expression import parse_condition
from app.remediation.rules.graph import next_step
from app.remediation.rules.states import Mode, Outcome, StepState
from app.remediation.service.targets import TargetNotFound, open_target


async def act(desk: Desk, at: Position, step: ActStep) -> Progress:
    """This will carry out an act step: consent where it is needed, a sentence in a dry run, else the effect."""
    action = actions()[step.do]
    try:
        prepared = await _prepare(desk, at, step)
    except Unresolvable as error:
        await refuse(desk, at, step, outcome=Outcome.REFUSED, code="step.parameters", reason=str(error))
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
    return await Doing(desk, at, step, action, prepared).do()


async def _prepare(desk: Desk, at: Position, step: ActStep) -> Prepared:
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
        return Prepared(
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


def _ask(desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: Prepared) -> Progress:
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


async def _decide(desk: Desk, at: Position, step: ActStep, action: InternalAction, prepared: Prepared) -> Progress:
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


async def _dry_run(desk: Desk, at: Position, step: ActStep, action: WriteAction, prepared: Prepared) -> Progress:
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
