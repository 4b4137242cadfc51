"""Claiming together: the jobs that a process is handed while a claim is under way share the next one.

A claim is one statement and one commit, whatever number of jobs it takes and whosever they are, so under load its cost
is shared; a single job still waits for nothing but its own claim.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

import orjson

from app.core.failpoints import failpoint
from app.core.ids import JobId, TenantId
from app.db.engine import Database
from app.db.jobs.lease import ClaimedJob
from app.db.system import system_call

MOST_AT_ONCE = 64

_CLAIM = (
    "select tenant_id, id, kind, queue, payload, attempt, max_attempts, lease_epoch, trace_context, run_at, started_at"
    " from tocsin_private.claim_jobs($1, $2, $3, $4)"
)

Key = tuple[TenantId, UUID]


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours, and since when.

    Attributes:
        job: What was claimed.
        asked_at: ``time.monotonic()`` from before the call, so our idea of the lease never outlives the row's.
    """

    job: ClaimedJob
    asked_at: float


class Claims:
    """Takes published jobs for one worker process.

    Args:
        database: Reached as the system role: one call may claim for several tenants.
        worker: The process's name, kept with each job.
        lease_s: Seconds of the first lease.
    """

    def __init__(self, *, database: Database, worker: str, lease_s: float) -> None:
        self._database = database
        self._worker = worker
        self._lease_s = lease_s
        self._waiting: dict[Key, list[asyncio.Future[Claim | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def claim(self, tenant_id: TenantId, job_id: UUID) -> Claim | None:
        """This will take the job, or return None when it is not there to be taken (a duplicate message).

        Raises:
            DatabaseUnavailable: Nothing is known to be claimed; the sweep looks after it if it was.
        """
        future: asyncio.Future[Claim | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((tenant_id, job_id), []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:MOST_AT_ONCE]
                await self._take({key: self._waiting.pop(key) for key in keys})
        finally:
            self._task = None

    async def _take(self, batch: dict[Key, list[asyncio.Future[Claim | None]]]) -> None:
        try:
            claims = await self._call(list(batch))
        except Exception as error:  # noqa: BLE001 - outermost frame of a task: each waiting run must hear of it
            for futures in batch.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            return
        for key, futures in batch.items():
            # The first who still waits gets it; the others brought the same message twice.
            for future in futures:
                if not future.done():
                    future.set_result(claims.pop(key, None))

    async def _call(self, keys: list[Key]) -> dict[Key, Claim]:
        await failpoint("claim.before")
        asked_at = time.monotonic()
        rows = await system_call(
            self._database,
            _CLAIM,
            [tenant_id for tenant_id, _ in keys],
            [job_id for _, job_id in keys],
            self._worker,
            float(self._lease_s),
            reason="worker.claim",
        )
        if rows:
            await failpoint("claim.after_commit")
        return {(row[0], row[1]): Claim(_claimed(*row[1:]), asked_at) for row in rows}


def _claimed(job_id: JobId, kind: str, queue: str, payload: str, *rest: object) -> ClaimedJob:
    return ClaimedJob(job_id, kind, queue, orjson.loads(payload), *rest)  # type: ignore[arg-type]
