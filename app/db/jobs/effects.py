"""The effects journal: everything done outside PostgreSQL is written down before and after.

*Intent* is committed first, with the lease epoch and ``not_after``. A fence in our database stops a stale write, not a
stale call: so the caller checks the deadline just before it sends, and whoever recovers waits it out, then probes the
target. Where nobody can tell whether the effect happened, the answer is *unknown* and a person decides; only an effect
whose target itself holds the idempotency is sent again blindly.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.failpoints import failpoint
from app.core.ids import new_id
from app.db.jobs.context import JobContext, RetryLater
from app.db.jobs.models import EffectRow
from app.db.tenancy import TenantSession

# The call must end this long before the lease does, so that the outcome can still be written under it.
MARGIN_S = 5.0
MAX_INTENTS = 5
_NOT_SENT = "not sent: the deadline had passed"


class Repeat(StrEnum):
    """Who holds the idempotency.

    AT_MOST_ONCE: nobody; never sent again after an unclear outcome.
    KEYED: the target refuses or absorbs a second call with the same key.
    IDEMPOTENT: the effect is absolute; a repeat changes nothing.
    """

    AT_MOST_ONCE = "at_most_once"
    KEYED = "keyed"
    IDEMPOTENT = "idempotent"


class EffectState(StrEnum):
    """Where an effect is: intended, done, definitely not done, or nobody knows."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class ProbeVerdict(StrEnum):
    """What a look at the target says about an earlier call."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    CANNOT_TELL = "cannot_tell"


class EffectFailed(Exception):
    """Raised by ``send`` when the target has definitely not applied the effect."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One intended effect.

    Attributes:
        key: From ``effect_key``; what is done, never the attempt's number.
        request: JSON-able; what a probe needs, with no secrets in it.
        timeout_s: Seconds the call may take, capped by the lease.
    """

    key: str
    kind: str
    target: str
    request: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = 30.0
    repeat: Repeat = Repeat.AT_MOST_ONCE


@dataclass(frozen=True)
class EffectResult:
    """How it ended. ``replayed``: an earlier run had done it; ``recovered``: a probe found it done."""

    state: EffectState
    outcome: dict[str, Any]
    recovered: bool = False
    replayed: bool = False


Send = Callable[[float], Awaitable[dict[str, Any]]]
Probe = Callable[[dict[str, Any]], Awaitable[ProbeVerdict]]
OnIntent = Callable[[TenantSession], Awaitable[None]]
OnOutcome = Callable[[TenantSession, EffectResult], Awaitable[None]]


def effect_key(*parts: object) -> str:
    """This will hash what is done (kind, target, parameters, the thing it belongs to) into a key."""
    return hashlib.sha256(orjson.dumps(parts, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def find_state(session: TenantSession, *, key: str) -> EffectState | None:
    """This will return where the effect is, or None where nobody has intended it."""
    statement = select(EffectRow.state).where(EffectRow.tenant_id == session.tenant_id, EffectRow.effect_key == key)
    state = (await session.execute(statement)).scalar_one_or_none()
    return EffectState(state) if state is not None else None


async def perform(
    ctx: JobContext,
    effect: Effect,
    *,
    send: Send,
    probe: Probe | None = None,
    on_intent: OnIntent | None = None,
    on_outcome: OnOutcome | None = None,
) -> EffectResult:
    """This will carry out the effect at most once, or as often as its target absorbs, and journal it.

    Args:
        ctx: The running job.
        effect: What is to be done.
        send: Does it; gets the monotonic deadline, raises EffectFailed when it certainly did not happen.
        probe: Looks at the target after an unclear outcome; gets the recorded request.
        on_intent: Runs in the intent's transaction (admission, budgets); an error there prevents the effect.
        on_outcome: Runs in the outcome's transaction.

    Raises:
        LeaseLost: Another worker owns the job; nothing more is written.
        RetryLater: An earlier call may still be under way, or its outcome is unclear and has to be waited out.
    """
    run = _Performance(ctx, effect, on_intent, on_outcome)
    earlier = await run.declare()
    if earlier is not None and earlier.state is EffectState.INTENT:
        verdict = await probe(earlier.request) if probe is not None else ProbeVerdict.CANNOT_TELL
        settled = await run.settle(verdict)
        if settled is not None:
            return settled
    elif earlier is not None:
        return EffectResult(earlier.state, earlier.outcome, replayed=True)
    return await run.send(send, can_probe=probe is not None)


@dataclass(frozen=True)
class _Earlier:
    state: EffectState
    outcome: dict[str, Any]
    request: dict[str, Any]


class _Performance:
    def __init__(
        self, ctx: JobContext, effect: Effect, on_intent: OnIntent | None, on_outcome: OnOutcome | None
    ) -> None:
        self._ctx = ctx
        self._effect = effect
        self._on_intent = on_intent
        self._on_outcome = on_outcome
        self._deadline = 0.0
        self._not_after: datetime | None = None

    async def declare(self) -> _Earlier | None:
        """Write the intent, or say what an earlier run left."""
        async with self._ctx.transaction() as session:
            row, now = await self._locked(session)
            if row is None:
                if self._on_intent is not None:
                    await self._on_intent(session)
                await self._insert(session, now)
                return None
            state = EffectState(row.state)
            if state is EffectState.FAILED:
                await self._intend_again(session, row, now)
                return None
            if state is EffectState.INTENT:
                wait_until = row.not_after + timedelta(seconds=self._ctx.effect_slack_s)
                if now < wait_until:
                    raise RetryLater(wait_until, reason="an earlier call of this effect may still be under way")
            return _Earlier(state, row.outcome or {}, row.request)

    async def settle(self, verdict: ProbeVerdict) -> EffectResult | None:
        """Decide an unclear effect; None means that a new intent stands and may be sent."""
        async with self._ctx.transaction() as session:
            row, now = await self._locked(session)
            if row is None:
                raise LookupError(f"effect {self._effect.key} vanished")
            if verdict is ProbeVerdict.APPLIED:
                return await self._record(
                    session, row, EffectResult(EffectState.DONE, {"probe": verdict.value}, recovered=True)
                )
            may_repeat = verdict is ProbeVerdict.NOT_APPLIED or self._effect.repeat is not Repeat.AT_MOST_ONCE
            if may_repeat and row.intents < MAX_INTENTS:
                await self._intend_again(session, row, now)
                return None
            return await self._record(session, row, EffectResult(EffectState.UNKNOWN, {"probe": verdict.value}))

    async def send(self, send: Send, *, can_probe: bool) -> EffectResult:
        """Call the target before the deadline and write the outcome."""
        await failpoint("effect.after_intent")
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            await self._withdraw()
            raise RetryLater(delay_s=1.0, reason="the lease was too short to send the effect")
        try:
            outcome = await asyncio.wait_for(self._call(send), remaining)
        except EffectFailed as error:
            return await self._finish(EffectResult(EffectState.FAILED, {"error": str(error)}))
        except Exception as error:
            if self._effect.repeat is Repeat.AT_MOST_ONCE and not can_probe:
                return await self._finish(
                    EffectResult(EffectState.UNKNOWN, {"error": f"{type(error).__name__}: {error}"})
                )
            wait_until = (self._not_after or self._ctx.clock.now()) + timedelta(seconds=self._ctx.effect_slack_s)
            raise RetryLater(
                wait_until, reason=f"outcome unclear ({type(error).__name__}); will look at the target"
            ) from error
        await failpoint("effect.after_send")
        return await self._finish(EffectResult(EffectState.DONE, outcome))

    async def _call(self, send: Send) -> dict[str, Any]:
        await failpoint("effect.before_send")
        return await send(self._deadline)

    async def _withdraw(self) -> None:
        """Note that nothing was sent. Its owner is not told: it has not ended, the job is about to try again."""
        async with self._ctx.transaction() as session:
            row, _ = await self._locked(session)
            if row is None:
                raise LookupError(f"effect {self._effect.key} vanished")
            await self._write(session, row, EffectResult(EffectState.FAILED, {"error": _NOT_SENT}))

    async def _finish(self, result: EffectResult) -> EffectResult:
        async with self._ctx.transaction() as session:
            row, _ = await self._locked(session)
            if row is None:
                raise LookupError(f"effect {self._effect.key} vanished")
            return await self._record(session, row, result)

    async def _record(self, session: TenantSession, row: EffectRow, result: EffectResult) -> EffectResult:
        await self._write(session, row, result)
        if self._on_outcome is not None:
            await self._on_outcome(session, result)
        return result

    async def _write(self, session: TenantSession, row: EffectRow, result: EffectResult) -> None:
        row.state = result.state.value
        row.outcome = result.outcome
        row.error = str(result.outcome["error"])[:2000] if "error" in result.outcome else None
        row.updated_at = self._ctx.clock.now()
        await session.flush()

    async def _locked(self, session: TenantSession) -> tuple[EffectRow | None, datetime]:
        now: datetime = (await session.execute(text("select clock_timestamp()"))).scalar_one()
        statement = select(EffectRow).where(
            EffectRow.tenant_id == session.tenant_id, EffectRow.effect_key == self._effect.key
        )
        return (await session.execute(statement.with_for_update())).scalar_one_or_none(), now

    def _set_deadline(self, now: datetime) -> datetime:
        here = time.monotonic()
        self._deadline = min(here + self._effect.timeout_s, self._ctx.lease_deadline() - MARGIN_S)
        self._not_after = now + timedelta(seconds=max(0.0, self._deadline - here))
        return self._not_after

    async def _insert(self, session: TenantSession, now: datetime) -> None:
        await session.execute(
            insert(EffectRow).values(
                tenant_id=session.tenant_id,
                id=new_id(),
                effect_key=self._effect.key,
                kind=self._effect.kind,
                target=self._effect.target,
                job_id=self._ctx.job_id,
                request=self._effect.request,
                state=EffectState.INTENT.value,
                intent_epoch=self._ctx.lease_epoch,
                not_after=self._set_deadline(now),
            )
        )

    async def _intend_again(self, session: TenantSession, row: EffectRow, now: datetime) -> None:
        if self._on_intent is not None:
            await self._on_intent(session)
        row.state = EffectState.INTENT.value
        row.request = self._effect.request
        row.job_id = self._ctx.job_id
        row.intent_epoch = self._ctx.lease_epoch
        row.intents += 1
        row.not_after = self._set_deadline(now)
        row.updated_at = now
        await session.flush()
