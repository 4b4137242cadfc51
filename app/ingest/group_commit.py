"""Many requests, one commit: what arrives while a commit is under way shares the next one.

A commit costs a few round trips and one write to disk, whatever it holds, so sharing is most of the intake's speed.
Each request still waits for the commit that holds its own row: nothing is acknowledged that is not on disk (I1).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import structlog

from app.core.errors import Unavailable
from app.core.ids import TenantId
from app.ingest.faults import name_of
from app.ingest.rules.turns import Turns
from app.ingest.schemas import Intake, Stored
from app.observability.metrics import counter, gauge, histogram
from app.settings.ingest import IngestSettings

log = structlog.get_logger(__name__)

BATCHES = histogram(
    "tocsin_ingest_batch_size",
    "Deliveries that shared one commit.",
    (),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
COMMITS = histogram("tocsin_ingest_commit_seconds", "Seconds of a group commit, from its start to the disk.", ())
WAITING = gauge("tocsin_ingest_waiting", "Deliveries that wait for a commit.", ())
FAILURES = counter(
    "tocsin_ingest_commit_failures_total", "Group commits that failed; their senders were asked to retry.", ()
)

_EXPIRY_TICK_S = 0.05
# Longer than a commit takes, shorter than the pauses of a sender that has little to say.
_SETTLE_S = 0.05
# Bytes of a body that cost as much as one more delivery.
_BYTES_AS_ONE = 16_384

Write = Callable[[TenantId, Sequence[Intake]], Awaitable[Sequence[Stored]]]


class Overloaded(Unavailable):
    """The commit did not come in time, or too many wait for theirs: the sender is to try again."""

    code = "ingest.overloaded"
    title = "The intake is overloaded"


class _Waiter:
    __slots__ = ("deadline", "future", "intake")

    def __init__(self, intake: Intake, future: asyncio.Future[Stored], deadline: float) -> None:
        self.intake = intake
        self.future = future
        self.deadline = deadline


@dataclass(slots=True)
class _Lane:
    """One tenant's queue. ``flying`` is the batch whose commit is under way."""

    waiting: deque[_Waiter] = field(default_factory=deque)
    flying: list[_Waiter] = field(default_factory=list)


class GroupCommit:
    """Batches per tenant, one commit at a time for each, a bounded number at once for all.

    Where more tenants wait than can be served at once, each has its turn (``rules/turns.py``): a batch is then no larger
    than a turn allows, and one slot is kept free for whoever has not been served just now.

    Args:
        write: Stores a batch in one transaction and returns one result per entry, in order.
        settings: Sizes and times.
    """

    def __init__(self, write: Write, settings: IngestSettings) -> None:
        self._write = write
        self._settings = settings
        self._lanes: dict[TenantId, _Lane] = {}
        self._turns: Turns[TenantId] = Turns(quantum=settings.turn_size, settle_s=_SETTLE_S)
        self._free = settings.commits_at_once
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None

    def has_room(self, tenant_id: TenantId) -> bool:
        """This will say whether one more delivery of the tenant would be taken."""
        lane = self._lanes.get(tenant_id)
        return lane is None or len(lane.waiting) < self._settings.queue_size

    async def submit(self, tenant_id: TenantId, intake: Intake) -> Stored:
        """This will return when the delivery is on disk. Cancelling the caller cancels nobody's commit.

        Raises:
            Overloaded: The queue is full, the commit failed or took too long; nothing, or what a retry will find.
        """
        lane = self._lanes.get(tenant_id)
        loop = asyncio.get_running_loop()
        if lane is None:
            lane = self._lanes[tenant_id] = _Lane()
            self._turns.join(tenant_id, loop.time())
            self._start(loop)
        elif len(lane.waiting) >= self._settings.queue_size:
            raise self._overloaded("too many deliveries wait for a commit")
        future: asyncio.Future[Stored] = loop.create_future()
        lane.waiting.append(_Waiter(intake, future, loop.time() + self._settings.commit_wait_s))
        return await future

    async def drain(self) -> None:
        """This will wait until everything that was taken is written."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin as many commits as there are slots for."""
        while (turn := self._next()) is not None:
            task = loop.create_task(self._fly(turn))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._expiry is None:
            self._expiry = loop.call_later(_EXPIRY_TICK_S, self._expire, loop)

    def _next(self) -> tuple[TenantId, float] | None:
        """Take a slot for whoever's turn it is; None where there is no slot, or nobody for it."""
        if self._free <= 0:
            return None
        kept = self._settings.commits_at_once > 1 and self._free == 1
        turn = self._turns.take(only_newcomers=kept)
        if turn is not None:
            self._free -= 1
        return turn

    async def _fly(self, turn: tuple[TenantId, float] | None) -> None:
        """Serve one turn after the other while there are any.

        Not each in a task of its own: that would begin after everybody who was just served had been answered, and
        PostgreSQL would wait meanwhile. So it works on the next batch while this one's answers are written.
        """
        try:
            while turn is not None:
                await self._serve(*turn)
                turn = self._next()
        finally:
            self._start(asyncio.get_running_loop())

    async def _serve(self, tenant_id: TenantId, credit: float) -> None:
        lane, left = self._lanes[tenant_id], credit
        try:
            # Whoever is alone takes all that fits.
            lane.flying, left = self._take(lane, credit if len(self._turns) else math.inf)
            if lane.flying:
                await self._commit(tenant_id, lane.flying)
        finally:
            self._free += 1
            lane.flying = []
            # No await since the last look: nobody can have been added in between.
            now = asyncio.get_running_loop().time()
            self._turns.served(tenant_id, credit=left, waits=bool(lane.waiting), now=now)
            if not lane.waiting:
                del self._lanes[tenant_id]

    def _take(self, lane: _Lane, credit: float) -> tuple[list[_Waiter], float]:
        """The next batch, and what is left of the credit: at least one, however large it is."""
        batch: list[_Waiter] = []
        size_bytes = 0
        while lane.waiting and len(batch) < self._settings.batch_size and credit > 0:
            following = lane.waiting[0]
            if batch and size_bytes + len(following.intake.body) > self._settings.batch_bytes:
                break
            lane.waiting.popleft()
            if not following.future.done():  # its request gave up: a retry will bring it again
                batch.append(following)
                size_bytes += len(following.intake.body)
                credit -= 1 + len(following.intake.body) / _BYTES_AS_ONE
        return batch, 0.0 if credit == math.inf else credit

    async def _commit(self, tenant_id: TenantId, batch: list[_Waiter]) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.commit_statement_timeout_ms / 1000):
                results = await self._write(tenant_id, [waiter.intake for waiter in batch])
            answered = list(zip(batch, results, strict=True))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            await self._one_by_one(tenant_id, batch, error)
            return
        except Exception as error:  # noqa: BLE001 - outermost frame of a task: each waiting request must hear of it
            self._fail(batch, error)
            return
        for waiter, result in answered:
            if not waiter.future.done():
                waiter.future.set_result(result)
        BATCHES.observe(len(batch))
        COMMITS.observe(time.perf_counter() - started)

    async def _one_by_one(self, tenant_id: TenantId, batch: list[_Waiter], error: Exception) -> None:
        """One row that PostgreSQL will not store must not take its neighbours along."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        for waiter in batch:
            await self._commit(tenant_id, [waiter])

    def _fail(self, batch: list[_Waiter], error: Exception) -> None:
        FAILURES.inc()
        log.warning("ingest.commit_failed", deliveries=len(batch), error=name_of(error))
        for waiter in batch:
            if not waiter.future.done():
                waiter.future.set_exception(self._overloaded("the delivery could not be stored"))

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those who waited long enough.

        A batch under way goes on, and a retry meets its rows as duplicates. Who still waits is dropped with its body: the
        route counts its bytes no more, so a queue of bodies that nobody waits for would know no bound.
        """
        now = loop.time()
        total = 0
        for lane in self._lanes.values():
            total += len(lane.waiting)
            for waiter in lane.flying:
                self._give_up(waiter, now)
            while lane.waiting and lane.waiting[0].deadline <= now:
                self._give_up(lane.waiting.popleft(), now)
        WAITING.set(total)
        self._expiry = loop.call_later(_EXPIRY_TICK_S, self._expire, loop) if self._lanes else None

    def _give_up(self, waiter: _Waiter, now: float) -> None:
        if waiter.deadline <= now and not waiter.future.done():
            waiter.future.set_exception(self._overloaded("the delivery was not stored in time"))

    def _overloaded(self, detail: str) -> Overloaded:
        return Overloaded(detail, retry_after_s=self._settings.retry_after_s)
