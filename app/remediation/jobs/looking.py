"""Check steps, and every other look at a target: outside any transaction, bounded in time, and never a write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError

from app.remediation.actions import actions
from app.remediation.contract import ReadAction, ReadContext, ReadFailed, Unreachable
from app.remediation.jobs.desk import Desk, Entry, Position, Progress, Turn
from app.remediation.rules.document import ActStep, CheckStep
from app.remediation.rules.graph import next_step
from app.remediation.rules.states import Outcome, StepState
from app.remediation.rules.substitution import MissingValue, substitute
from app.remediation.service.ending import end_run
from app.remediation.service.targets import TargetNotFound, open_target


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look brought: an output, or why there is none."""

    input: Mapping[str, Any]
    output: dict[str, Any] | None = None
    error: str | None = None
    target_id: UUID | None = None


class Unresolvable(Exception):
    """The step's parameters cannot be made from the values that there are."""


def resolve_arguments(step: CheckStep | ActStep, values: Mapping[str, Any]) -> tuple[dict[str, Any], BaseModel]:
    """This will fill in a step's parameters, once, and check them against the action's model.

    Raises:
        Unresolvable: A value is missing or does not fit.
    """
    try:
        arguments: dict[str, Any] = substitute(step.arguments, values)
        return arguments, actions()[step.do].spec.params.model_validate(arguments)
    except MissingValue as error:
        raise Unresolvable(str(error)) from error
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise Unresolvable("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)) from error


async def check(desk: Desk, at: Position, step: CheckStep) -> Progress:
    """This will carry out a check step; a check that fails stops the run unless it says where to go."""
    started = desk.now()
    found = await look(desk, at, step)
    failed = found.error is not None
    entry = Entry(
        kind=step.kind,
        state=StepState.FAILED if failed else StepState.DONE,
        started_at=started,
        error=found.error,
        input=found.input,
        output=found.output,
        action=step.do,
        target_id=found.target_id,
        risk="read",
    )
    go = step.on_error if failed else next_step(at.document, step)
    async with desk.holding() as (session, run):
        await desk.record(session, run, at, entry, go=at.cursor(go) if go is not None else None)
        if go is None:
            reason = f"check {at.key} failed: {found.error}"
            await end_run(session, run, outcome=Outcome.UNVERIFIED, reason=reason, code="check.failed", now=desk.now())
    return Turn.GO_ON


async def look(desk: Desk, at: Position, step: CheckStep) -> Look:
    """This will run a check's action once."""
    action = actions()[step.do]
    if not isinstance(action, ReadAction):
        return Look(input={}, error=f"{step.do} does not read")
    try:
        arguments, params = resolve_arguments(step, at.values)
    except Unresolvable as error:
        return Look(input=step.arguments, error=str(error))
    target_id = at.plan.targets[step.on].id if step.on is not None else None
    try:
        context = await _context(desk, target_id, step.timeout.total_seconds())
        async with asyncio.timeout(context.timeout_s + 1):
            output = await action.run(context, params)
    except (ReadFailed, Unreachable, TargetNotFound) as error:
        return Look(input=arguments, error=str(error), target_id=target_id)
    except TimeoutError:
        return Look(input=arguments, error=f"no answer in {step.timeout.total_seconds():g}s", target_id=target_id)
    return Look(input=arguments, output=output.model_dump(mode="json"), target_id=target_id)


async def look_again(desk: Desk, at: Position, key: str) -> Look:
    """This will run a check of the runbook once more, for a step that waits for it or for the judgement of recovery."""
    step = next((step for step in at.document.steps if step.key == key), None)
    return await look(desk, at, step) if isinstance(step, CheckStep) else Look(input={}, error=f"{key} is no check")


async def _context(desk: Desk, target_id: UUID | None, timeout_s: float) -> ReadContext:
    if target_id is None:
        raise ReadFailed("the check has no target")
    async with desk.holding() as (session, _):
        target = await open_target(session, target_id=target_id, keyring=desk.keyring)
    return ReadContext(target=target, timeout_s=timeout_s, http=desk.read_http(), resolver=desk.resolver())
