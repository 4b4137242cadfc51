"""Starting, advancing and stopping replays.

A replay puts one small batch back to the intake and takes the next one when none of it waits any more. So at any moment
it has no more in the queue than one intake transaction works through, and what comes in fresh waits for that at the most.
Trying a delivery again doubles nothing: its events carry the time and the place in the order of arrival that they always
had, and an event that was applied before says nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.ingest.replays import repository
from app.ingest.replays.models import ReplayRow
from app.ingest.replays.schemas import ReplayRequest, ReplayState, ReplayView
from app.ingest.repository.deliveries import DeliveryFilter
from app.ingest.schemas import DeliveryState
from app.ingest.service import get_source

KEPT = 100
"""Ended replays of a tenant that are kept to be read."""


class ReplayNotFound(NotFound):
    """No replay of this id for this tenant."""

    code = "replay.not_found"
    title = "No such replay"


class ReplayRunning(Conflict):
    """One replay of a tenant at a time."""

    code = "replay.running"
    title = "Another replay is running"
    hint = "Wait until it is done, or cancel it."


class ReplayEnded(Conflict):
    """It is over."""

    code = "replay.ended"
    title = "The replay has ended"


@dataclass(frozen=True)
class Advanced:
    """What one step of a replay calls for.

    Attributes:
        shards: Whose intake has work now.
        waits: The batch before is not through yet; nothing was changed.
        goes_on: There may be more to take.
    """

    shards: frozenset[int] = field(default_factory=frozenset)
    waits: bool = False
    goes_on: bool = False


async def start_replay(session: TenantSession, *, request: ReplayRequest, actor: Actor, now: datetime) -> ReplayView:
    """This will begin a replay; the caller enqueues what drives it.

    Raises:
        SourceNotFound: The source is not there, or another tenant's.
        ReplayRunning: Another one has not ended.
    """
    if request.source_id is not None:
        await get_source(session, source_id=request.source_id)
    if (running := await repository.find_running(session)) is not None:
        raise ReplayRunning(f"the replay {running} is running")
    await repository.forget_old(session, keep=KEPT)
    row = ReplayRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        wanted=request.model_dump(mode="json", exclude={"most"}, exclude_none=True),
        most=request.most,
        state=ReplayState.RUNNING.value,
        cursor=UUID(int=0),
        until_id=new_id(),
        batch=[],
        taken=0,
        processed=0,
        failed_again=0,
        started_by=actor.name,
        created_at=now,
        updated_at=now,
    )
    async with refused_by(session, "uq_replays_running", ReplayRunning("a replay was started a moment ago")):
        session.add(row)
    detail = {**row.wanted, "most": row.most}
    await record(session, actor=actor, action="replay.started", subject=f"replay:{row.id}", detail=detail, now=now)
    return _view(row)


async def cancel_replay(session: TenantSession, *, replay_id: UUID, actor: Actor, now: datetime) -> ReplayView:
    """This will stop a replay; what the intake has already is worked through, and counted by the job that drives it.

    Raises:
        ReplayNotFound: Not there, or another tenant's.
        ReplayEnded: It is over.
    """
    row = await repository.find_replay(session, replay_id=replay_id, lock=True)
    if row is None:
        raise ReplayNotFound(replay_id=str(replay_id))
    if row.state != ReplayState.RUNNING.value:
        raise ReplayEnded(f"the replay is {row.state}")
    row.state, row.finished_at, row.updated_at = ReplayState.CANCELLED.value, now, now
    await session.flush()
    detail = {"taken": row.taken}
    await record(session, actor=actor, action="replay.cancelled", subject=f"replay:{row.id}", detail=detail, now=now)
    return _view(row)


async def get_replay(session: TenantSession, *, replay_id: UUID) -> ReplayView:
    """This will return a replay and how far it is.

    Raises:
        ReplayNotFound: Not there, or another tenant's.
    """
    row = await repository.find_replay(session, replay_id=replay_id)
    if row is None:
        raise ReplayNotFound(replay_id=str(replay_id))
    return _view(row)


async def list_replays(session: TenantSession, *, before: UUID | None, limit: int) -> list[ReplayView]:
    """This will return replays, newest first."""
    return [_view(row) for row in await repository.list_replays(session, before=before, limit=limit)]


async def advance(session: TenantSession, *, replay_id: UUID, batch_size: int, now: datetime) -> Advanced:
    """This will settle the batch that was taken before and take the next one."""
    row = await repository.find_replay(session, replay_id=replay_id, lock=True)
    if row is None:
        return Advanced()
    if row.batch and not await _settle(session, row, now):
        return Advanced(waits=True)
    if row.state != ReplayState.RUNNING.value:
        return Advanced()
    ids = (
        await repository.list_next(
            session,
            wanted=_filter(row),
            after=row.cursor,
            until=row.until_id,
            limit=min(batch_size, row.most - row.taken) or 1,
        )
        if row.taken < row.most
        else []
    )
    row.batch, row.updated_at = ids, now
    if not ids:
        row.state, row.finished_at = ReplayState.DONE.value, now
        await session.flush()
        return Advanced()
    row.cursor, row.taken = ids[-1], row.taken + len(ids)
    await session.flush()
    return Advanced(frozenset(await repository.put_back(session, ids=ids)), goes_on=True)


async def _settle(session: TenantSession, row: ReplayRow, now: datetime) -> bool:
    """This will count what became of the last batch, of a cancelled replay too; False where some of it still waits."""
    states = await repository.count_states(session, ids=row.batch)
    if states.get(DeliveryState.ACCEPTED.value):
        return False
    row.processed += states.get(DeliveryState.PROCESSED.value, 0)
    row.failed_again += states.get(DeliveryState.REJECTED.value, 0) + states.get(DeliveryState.FAILED.value, 0)
    row.batch, row.updated_at = [], now
    await session.flush()
    return True


def _filter(row: ReplayRow) -> DeliveryFilter:
    request = ReplayRequest.model_validate(row.wanted)
    return DeliveryFilter(
        states=tuple(DeliveryState(state) for state in request.states),
        source_id=request.source_id,
        reason=request.reason,
        since=request.since,
        until=request.until,
    )


def _view(row: ReplayRow) -> ReplayView:
    return ReplayView(
        id=row.id,
        state=ReplayState(row.state),
        wanted=dict(row.wanted),
        most=row.most,
        taken=row.taken,
        processed=row.processed,
        failed_again=row.failed_again,
        waiting=len(row.batch),
        started_by=row.started_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
