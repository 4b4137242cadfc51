"""What a handler holds while it runs: its tenant, its lease, its clock and the process's resources."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from app.core.clock import Clock
from app.core.errors import NotYet
from app.core.ids import JobId, TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.lease import ClaimedJob, Lease
from app.db.tenancy import TenantSession, tenant_session

Completion = Callable[[TenantSession], Awaitable[None]]


class RetryLater(NotYet):
    """Nothing is wrong, but not now: the job goes back to *scheduled* and keeps its attempt.

    Args:
        run_at: When to try again.
        delay_s: Or: seconds from now, on the context's clock.
        reason: Shown with the job while it waits.
    """

    def __init__(self, run_at: datetime | None = None, *, delay_s: float = 0.0, reason: str = "") -> None:
        super().__init__(reason or "later")
        self.run_at = run_at
        self.delay = timedelta(seconds=delay_s)
        self.reason = reason


class JobContext:
    """The frame of one run of one job.

    Attributes:
        tenant_id: Whose job it is; every transaction opened here is that tenant's.
        attempt: Number of this attempt, from 1.
        lease_epoch: The fence's value; part of every effect's intent.
        effect_slack_s: Seconds added to an effect's ``not_after`` before somebody else judges it.
        give_way: Says that this run is a backlog's after all, and that fresh work need not be kept from waiting for it.
    """

    def __init__(
        self,
        *,
        database: Database,
        tenant_id: TenantId,
        claimed: ClaimedJob,
        lease_s: float,
        claimed_at: float,
        clock: Clock,
        resources: Resources,
        effect_slack_s: float,
        give_way: Callable[[], None],
    ) -> None:
        self.tenant_id = tenant_id
        self.job_id: JobId = claimed.id
        self.attempt = claimed.attempt
        self.max_attempts = claimed.max_attempts
        self.lease_epoch = claimed.lease_epoch
        self.lease = Lease(claimed.id, claimed.lease_epoch)
        self.lease_s = lease_s
        self.clock = clock
        self.resources = resources
        self.effect_slack_s = effect_slack_s
        self.give_way = give_way
        self._database = database
        self._lease_from = claimed_at

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[TenantSession]:
        """This will open a short transaction that commits at the end and only while the lease is ours.

        Raises:
            LeaseLost: Another worker took over; nothing is written.
        """
        async with tenant_session(self._database, self.tenant_id) as session:
            await self.lease.check(session)
            yield session

    def lease_deadline(self) -> float:
        """This will return the ``time.monotonic()`` at which the lease that we know of ends."""
        return self._lease_from + self.lease_s

    async def renew(self) -> None:
        """This will extend the lease; counted from before the call, so our idea of it never outlives the row's."""
        started = time.monotonic()
        async with tenant_session(self._database, self.tenant_id) as session:
            await self.lease.renew(session, lease_s=self.lease_s)
        self._lease_from = started
