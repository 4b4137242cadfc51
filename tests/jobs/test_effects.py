"""Effects outside PostgreSQL happen once, or are known to be unclear. Crashes are simulated at each line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.core.jobs import JobState
from app.db.jobs.context import JobContext, RetryLater
from app.db.jobs.effects import (
    Effect,
    EffectFailed,
    EffectResult,
    EffectState,
    ProbeVerdict,
    Repeat,
    effect_key,
    perform,
)
from app.db.jobs.queue import enqueue
from app.db.tenancy import TenantSession, tenant_session
from tests.fixtures.jobs import make_runner
from tests.jobs.conftest import Bench, Note
from workers.runner import Outcome


class Target:
    """Something outside that counts what was done to it."""

    def __init__(self) -> None:
        self.effects = 0
        self.crash_after = False
        self.refuse = False
        self.hang = False

    async def send(self, deadline: float) -> dict[str, Any]:
        if self.refuse:
            raise EffectFailed("refused")
        self.effects += 1
        if self.hang:
            await asyncio.sleep(60)
        if self.crash_after:
            raise ConnectionResetError("no answer")
        return {"count": self.effects}


def make_effect(repeat: Repeat = Repeat.AT_MOST_ONCE, timeout_s: float = 5.0) -> Effect:
    return Effect(
        key=effect_key("restart", "web-1"), kind="restart", target="web-1", repeat=repeat, timeout_s=timeout_s
    )


async def run_once(bench: Bench, body: Callable[[JobContext], Awaitable[None]]) -> Outcome:
    """Run ``body`` as the one job's handler, in a new attempt with a new lease epoch."""

    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        await body(ctx)

    bench.registry._by_kind[Note.kind] = bench.registry._by_kind[Note.kind].__class__(Note, handler, False)
    if not await bench.rows():
        async with tenant_session(bench.database, bench.tenant_id) as session:
            await enqueue(session, Note())
    await bench.change("update jobs set state = 'published'")
    row = await bench.row()
    return await make_runner(bench.resources, bench.registry).run(bench.tenant_id, row["id"])


async def effect_row(bench: Bench) -> dict[str, Any]:
    async with tenant_session(bench.database, bench.tenant_id) as session:
        return dict((await session.execute(text("select * from effects"))).mappings().one())


async def let_the_deadline_pass(bench: Bench) -> None:
    await bench.change("update effects set not_after = not_after - interval '1 hour'")


async def test_a_second_run_gets_the_first_outcome_without_a_second_effect(bench: Bench) -> None:
    target, results = Target(), list[EffectResult]()

    async def body(ctx: JobContext) -> None:
        results.append(await perform(ctx, make_effect(), send=target.send))

    await run_once(bench, body)
    await run_once(bench, body)
    assert target.effects == 1
    assert [result.replayed for result in results] == [False, True]
    assert results[1].outcome == {"count": 1}


async def test_an_effect_that_came_too_late_to_be_sent_has_not_failed_for_its_owner(bench: Bench) -> None:
    """A worker that stood still between the intent and the call tries again; the owner must not go on without it."""
    target, told = Target(), list[EffectState]()

    async def on_outcome(session: TenantSession, result: EffectResult) -> None:
        told.append(result.state)

    async def body(ctx: JobContext, timeout_s: float) -> None:
        await perform(ctx, make_effect(timeout_s=timeout_s), send=target.send, on_outcome=on_outcome)

    assert await run_once(bench, lambda ctx: body(ctx, 0.0)) is Outcome.LATER
    assert ((await effect_row(bench))["state"], target.effects, told) == ("failed", 0, [])
    assert await run_once(bench, lambda ctx: body(ctx, 5.0)) is Outcome.SUCCEEDED
    assert (target.effects, told) == (1, [EffectState.DONE])


async def test_intent_is_committed_before_and_outcome_after(bench: Bench) -> None:
    states: list[str] = []

    async def send(deadline: float) -> dict[str, Any]:
        states.append((await effect_row(bench))["state"])
        return {}

    await run_once(bench, lambda ctx: _discard(perform(ctx, make_effect(), send=send)))
    assert states == ["intent"]
    assert (await effect_row(bench))["state"] == "done"


async def _discard(awaitable: Awaitable[object]) -> None:
    await awaitable


async def test_lost_between_effect_and_outcome_is_probed_and_not_repeated(bench: Bench) -> None:
    target = Target()

    async def dies(ctx: JobContext) -> None:
        async def send(deadline: float) -> dict[str, Any]:
            outcome = await target.send(deadline)
            await bench.change("update jobs set lease_epoch = lease_epoch + 1")
            return outcome

        await perform(ctx, make_effect(), send=send)

    async def recovers(ctx: JobContext) -> None:
        async def probe(request: dict[str, Any]) -> ProbeVerdict:
            return ProbeVerdict.APPLIED

        result = await perform(ctx, make_effect(), send=target.send, probe=probe)
        assert (result.state, result.recovered) == (EffectState.DONE, True)

    assert await run_once(bench, dies) is Outcome.LOST
    assert await run_once(bench, recovers) is Outcome.LATER, "the dead worker's call may still be under way"
    await let_the_deadline_pass(bench)
    assert await run_once(bench, recovers) is Outcome.SUCCEEDED
    assert target.effects == 1


async def test_without_a_probe_an_unclear_effect_is_unknown_and_never_repeated(bench: Bench) -> None:
    target = Target()
    target.crash_after = True
    states: list[EffectState] = []

    async def body(ctx: JobContext) -> None:
        states.append((await perform(ctx, make_effect(), send=target.send)).state)

    await run_once(bench, body)
    await run_once(bench, body)
    assert states == [EffectState.UNKNOWN, EffectState.UNKNOWN]
    assert target.effects == 1


async def test_an_idempotent_effect_is_sent_again_after_its_deadline(bench: Bench) -> None:
    target = Target()
    target.crash_after = True

    async def body(ctx: JobContext) -> None:
        await perform(ctx, make_effect(Repeat.IDEMPOTENT), send=target.send)

    assert await run_once(bench, body) is Outcome.LATER
    assert await run_once(bench, body) is Outcome.LATER
    assert target.effects == 1, "the deadline of the first call has not passed"
    await let_the_deadline_pass(bench)
    target.crash_after = False
    assert await run_once(bench, body) is Outcome.SUCCEEDED
    assert (await effect_row(bench))["state"] == "done"


async def test_a_probe_that_finds_nothing_allows_a_new_intent(bench: Bench) -> None:
    target = Target()
    target.crash_after = True

    async def probe(request: dict[str, Any]) -> ProbeVerdict:
        return ProbeVerdict.NOT_APPLIED

    async def body(ctx: JobContext) -> None:
        await perform(ctx, make_effect(), send=target.send, probe=probe)

    assert await run_once(bench, body) is Outcome.LATER
    await let_the_deadline_pass(bench)
    target.crash_after = False
    assert await run_once(bench, body) is Outcome.SUCCEEDED
    row = await effect_row(bench)
    assert (row["state"], row["intents"]) == ("done", 2)


async def test_a_definite_refusal_is_failed_and_may_be_tried_again(bench: Bench) -> None:
    target = Target()
    target.refuse = True
    states: list[EffectState] = []

    async def body(ctx: JobContext) -> None:
        states.append((await perform(ctx, make_effect(), send=target.send)).state)

    await run_once(bench, body)
    target.refuse = False
    await run_once(bench, body)
    assert states == [EffectState.FAILED, EffectState.DONE]


async def test_a_call_that_hangs_is_cut_at_its_timeout(bench: Bench) -> None:
    target = Target()
    target.hang = True

    async def body(ctx: JobContext) -> None:
        result = await perform(ctx, make_effect(timeout_s=0.05), send=target.send)
        assert result.state is EffectState.UNKNOWN

    assert await run_once(bench, body) is Outcome.SUCCEEDED
    assert target.effects == 1


async def test_a_worker_that_slept_past_its_lease_sends_nothing(bench: Bench) -> None:
    target = Target()

    async def body(ctx: JobContext) -> None:
        # As after SIGSTOP between intent and send: the lease that we know of is over.
        ctx._lease_from -= ctx.lease_s
        await perform(ctx, make_effect(), send=target.send)

    assert await run_once(bench, body) is Outcome.LATER
    assert target.effects == 0
    assert (await effect_row(bench))["state"] == "failed"


async def test_admission_that_refuses_leaves_no_intent(bench: Bench) -> None:
    target = Target()

    class OverBudget(Exception):
        pass

    async def refuse(session: TenantSession) -> None:
        raise OverBudget

    async def body(ctx: JobContext) -> None:
        with pytest.raises(OverBudget):
            await perform(ctx, make_effect(), send=target.send, on_intent=refuse)

    assert await run_once(bench, body) is Outcome.SUCCEEDED
    assert target.effects == 0
    async with tenant_session(bench.database, bench.tenant_id) as session:
        assert (await session.execute(text("select count(*) from effects"))).scalar_one() == 0


async def test_follow_up_rows_share_the_outcomes_commit(bench: Bench) -> None:
    target = Target()
    noted: list[str] = []

    async def note(session: TenantSession, result: EffectResult) -> None:
        noted.append(result.state.value)
        raise RetryLater(delay_s=1)

    async def body(ctx: JobContext) -> None:
        await perform(ctx, make_effect(), send=target.send, on_outcome=note)

    assert await run_once(bench, body) is Outcome.LATER
    assert noted == ["done"]
    assert (await effect_row(bench))["state"] == "intent", "the outcome and its follow-up are one commit"
    assert (await bench.row())["state"] == JobState.SCHEDULED
