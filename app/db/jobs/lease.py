"""Claiming, renewing and ending a job, each fenced by the lease epoch.

Leases live on the server's clock (F29: a worker's clock may jump). A claim counts the attempt *before* the run, so
a job that kills its worker ends dead after ``max_attempts``, whatever it does to the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.ids import JobId
from app.db.tenancy import TenantSession


class LeaseLost(Exception):
    """Another worker owns the job now, or it was cancelled: write nothing, stop at once."""


@dataclass(frozen=True)
class ClaimedJob:
    """A job whose lease is ours until it is lost."""

    id: JobId
    kind: str
    queue: str
    payload: dict[str, Any]
    attempt: int
    max_attempts: int
    lease_epoch: int
    trace_context: str | None
    run_at: datetime
    started_at: datetime


_RENEW = text(
    "update jobs set lease_until = clock_timestamp() + make_interval(secs => :lease_s)"
    " where tenant_id = :tenant_id and id = :id and lease_epoch = :epoch and state = 'running' returning 1"
)
# KEY SHARE keeps the sweep (FOR UPDATE SKIP LOCKED) away for the length of this transaction, while a renewal, which
# changes no key column, passes.
_FENCE = text(
    "select 1 from jobs where tenant_id = :tenant_id and id = :id and lease_epoch = :epoch and state = 'running' for key share"
)
# In the driver's own form: every job ends with it.
_SUCCEED = (
    "update jobs set state = 'succeeded', finished_at = clock_timestamp(), lease_until = null, error = null"
    " where tenant_id = $1 and id = $2 and lease_epoch = $3 and state = 'running' returning 1"
)
_END = text(
    "update jobs set state = :state, finished_at = clock_timestamp(), lease_until = null, error = :error"
    " where tenant_id = :tenant_id and id = :id and lease_epoch = :epoch and state = 'running' returning 1"
)
_RESCHEDULE = text(
    "update jobs set state = 'scheduled', lease_until = null, published_at = null, error = :error, parked = :parked,"
    " attempt = attempt - :refund,"
    " run_at = coalesce(cast(:run_at as timestamptz), clock_timestamp() + make_interval(secs => :delay_s))"
    " where tenant_id = :tenant_id and id = :id and lease_epoch = :epoch and state = 'running' returning 1"
)


@dataclass(frozen=True)
class Lease:
    """The fence: which job, in which epoch."""

    job_id: JobId
    epoch: int

    def _key(self, session: TenantSession) -> dict[str, Any]:
        return {"tenant_id": session.tenant_id, "id": self.job_id, "epoch": self.epoch}

    async def check(self, session: TenantSession) -> None:
        """This will hold the job against takeover until the transaction ends.

        Raises:
            LeaseLost: It is not ours any more.
        """
        if (await session.execute(_FENCE, self._key(session))).one_or_none() is None:
            raise LeaseLost(str(self.job_id))

    async def renew(self, session: TenantSession, *, lease_s: float) -> None:
        """This will extend the lease from now.

        Raises:
            LeaseLost: It is not ours any more.
        """
        if (await session.execute(_RENEW, {**self._key(session), "lease_s": float(lease_s)})).one_or_none() is None:
            raise LeaseLost(str(self.job_id))

    async def succeed(self, session: TenantSession) -> None:
        """This will end the job well; follow-up work is written after this, in the same transaction.

        Raises:
            LeaseLost: It is not ours any more.
        """
        if await session.driver.fetchval(_SUCCEED, session.tenant_id, self.job_id, self.epoch) is None:
            raise LeaseLost(str(self.job_id))

    async def end(self, session: TenantSession, *, state: str, error: str) -> None:
        """This will end the job as ``failed`` or ``dead`` with its reason."""
        values = {**self._key(session), "state": state, "error": error[:2000]}
        if (await session.execute(_END, values)).one_or_none() is None:
            raise LeaseLost(str(self.job_id))

    async def reschedule(
        self,
        session: TenantSession,
        *,
        run_at: datetime | None = None,
        delay: timedelta = timedelta(0),
        error: str | None,
        refund: bool = False,
        parked: bool = False,
    ) -> None:
        """This will put the job back, due at ``run_at`` or after ``delay`` on the server's clock.

        A coalescing job whose successor is already scheduled is cancelled instead: the successor does its work.

        Args:
            session: The tenant's transaction.
            run_at: Due time; wins over ``delay``.
            delay: Wait from now.
            error: Why it goes back, or None where nothing went wrong.
            refund: True gives the attempt back: it was no failure.
            parked: True marks a job of a kind that this release does not know.
        """
        values = {
            **self._key(session),
            "run_at": run_at,
            "delay_s": delay.total_seconds(),
            "error": error[:2000] if error is not None else None,
            "refund": 1 if refund else 0,
            "parked": parked,
        }
        try:
            async with session.begin_nested():
                row = (await session.execute(_RESCHEDULE, values)).one_or_none()
        except IntegrityError:
            await self.end(session, state="cancelled", error="superseded by a newer job of the same key")
            return
        if row is None:
            raise LeaseLost(str(self.job_id))
