"""Making heartbeats, and settling them: a missed one opens an alert, the next beat ends it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.ingest.heartbeats.alerts import end_alert, raise_alert
from app.ingest.heartbeats.models import HeartbeatRow
from app.ingest.heartbeats.rules import Verdict, judge
from app.ingest.heartbeats.schemas import HeartbeatCreate, HeartbeatState, HeartbeatUpdate, HeartbeatView
from app.ingest.models import SourceRow
from app.ingest.repository import watches
from app.ingest.schemas import SourceState
from app.ingest.service import get_source


class HeartbeatNotFound(NotFound):
    """No heartbeat of this id for this tenant."""

    code = "heartbeat.not_found"
    title = "No such heartbeat"


class HeartbeatNameTaken(Conflict):
    """Two heartbeats of one source cannot have one name."""

    code = "heartbeat.name_taken"
    title = "The source has a heartbeat of this name"
    hint = "Choose another name, or change the existing heartbeat."


class TooManyHeartbeats(Invalid):
    """The tenant has as many as it may have."""

    code = "heartbeat.too_many"
    title = "The tenant has too many heartbeats"
    hint = "Delete those that are not needed any more."


async def create_heartbeat(
    session: TenantSession, wanted: HeartbeatCreate, *, most: int, actor: Actor, now: datetime
) -> HeartbeatView:
    """This will make a heartbeat, which is watched from its first beat on.

    Raises:
        SourceNotFound: The tenant has no such source.
        HeartbeatNameTaken: The source has one of this name.
        TooManyHeartbeats: The tenant has ``most``.
    """
    # Locked, so that two requests at once count each other's heartbeat.
    source = await get_source(session, source_id=wanted.source_id, lock=True)
    row = HeartbeatRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        source_id=source.id,
        name=wanted.name,
        interval_s=wanted.interval_s,
        grace_s=wanted.grace_s,
        severity=wanted.severity.value,
        state=HeartbeatState.NEW.value,
        beats=0,
        created_at=now,
        updated_at=now,
    )
    taken = HeartbeatNameTaken(f"there is a heartbeat {wanted.name!r}")
    async with refused_by(session, "uq_heartbeats_tenant_id_source_id_name", taken):
        session.add(row)
    # Only now: who repeats a name at the limit hears that it is there. What was added goes with the transaction.
    if await watches.count_up_to(session, HeartbeatRow, limit=most + 1) > most:
        raise TooManyHeartbeats(f"{most} is the most a tenant can have")
    await _record(session, row, "created", actor, now)
    return view(row, source)


async def update_heartbeat(
    session: TenantSession, *, heartbeat_id: UUID, wanted: HeartbeatUpdate, actor: Actor, now: datetime
) -> HeartbeatView:
    """This will change a heartbeat; the caller sets its timer anew.

    Raises:
        HeartbeatNotFound: Not there, or another tenant's.
    """
    row, source, _ = await _lock(session, heartbeat_id)
    if wanted.interval_s is not None:
        row.interval_s = wanted.interval_s
    if wanted.grace_s is not None:
        row.grace_s = wanted.grace_s
    if wanted.severity is not None:
        row.severity = wanted.severity.value
    if wanted.paused is True:
        row.state, row.deadline_at, row.failed_at = HeartbeatState.PAUSED.value, None, None
    elif wanted.paused is False and row.state == HeartbeatState.PAUSED.value:
        row.state = HeartbeatState.NEW.value
    if row.state == HeartbeatState.UP.value and row.last_beat_at is not None:
        row.deadline_at = row.last_beat_at + timedelta(seconds=row.interval_s + row.grace_s)
    row.updated_at = now
    await session.flush()
    await _record(session, row, "changed", actor, now)
    return view(row, source)


async def delete_heartbeat(session: TenantSession, *, heartbeat_id: UUID, actor: Actor, now: datetime) -> None:
    """This will forget a heartbeat and end its alert.

    Raises:
        HeartbeatNotFound: Not there, or another tenant's.
    """
    row, source, server_now = await _lock(session, heartbeat_id)
    await end_alert(session, row, source, at=server_now, because="the heartbeat was deleted", now=now)
    await _record(session, row, "deleted", actor, now)
    await session.delete(row)
    await session.flush()


async def get_heartbeat(session: TenantSession, *, heartbeat_id: UUID) -> HeartbeatView:
    """This will return one heartbeat.

    Raises:
        HeartbeatNotFound: Not there, or another tenant's.
    """
    found = await watches.find_watch(session, HeartbeatRow, heartbeat_id)
    if found is None:
        raise HeartbeatNotFound(heartbeat_id=str(heartbeat_id))
    return view(*found)


async def list_heartbeats(
    session: TenantSession, *, source_id: UUID | None, before: UUID | None, limit: int
) -> list[HeartbeatView]:
    """This will return heartbeats, newest first."""
    rows = await watches.list_watches(session, HeartbeatRow, source_id=source_id, before=before, limit=limit)
    return [view(row, source) for row, source in rows]


async def settle(session: TenantSession, *, heartbeat_id: UUID, outage_s: float, now: datetime) -> Verdict:
    """This will bring a heartbeat's alert in line with its beats, in the caller's transaction.

    Args:
        session: A tenant transaction; the heartbeat stays locked in it.
        heartbeat_id: Which.
        outage_s: Found out later than this after the deadline, it was we who did not listen: the sender gets another turn.
        now: Stamped on rows; what is late is decided by the database's clock.

    Returns:
        What was decided; its ``look_again_at`` is when to ask next.
    """
    found = await watches.lock_watch(session, HeartbeatRow, heartbeat_id)
    if found is None:
        return Verdict()
    row, source, server_now = found
    is_heard = source.state == SourceState.ACTIVE.value
    verdict = judge(
        HeartbeatState(row.state),
        row.deadline_at,
        alerted=row.alerted_at is not None,
        active=is_heard,
        now=server_now,
        outage_s=outage_s,
        period_s=row.interval_s + row.grace_s,
    )
    if not is_heard:
        # How long it may be silent begins anew when its source is heard again.
        row.deadline_at = None
    if verdict.another_turn:
        row.state, row.deadline_at = HeartbeatState.UP.value, verdict.look_again_at
    if verdict.missed:
        row.state = HeartbeatState.LATE.value
    if verdict.missed or verdict.failed:
        await raise_alert(session, row, source, server_now=server_now, now=now)
    elif verdict.ends is not None:
        heard_at = row.last_beat_at if row.state == HeartbeatState.UP.value else None
        await end_alert(session, row, source, at=heard_at or server_now, because=verdict.ends, now=now)
    await session.flush()
    return verdict


def view(row: HeartbeatRow, source: SourceRow) -> HeartbeatView:
    """This will return a heartbeat as its tenant sees it."""
    shown = HeartbeatView.model_validate(row)
    return shown.model_copy(update={"url_path": f"/in/{source.public_id}/heartbeat/{row.name}"})


async def _lock(session: TenantSession, heartbeat_id: UUID) -> tuple[HeartbeatRow, SourceRow, datetime]:
    found = await watches.lock_watch(session, HeartbeatRow, heartbeat_id)
    if found is None:
        raise HeartbeatNotFound(heartbeat_id=str(heartbeat_id))
    return found


async def _record(session: TenantSession, row: HeartbeatRow, done: str, actor: Actor, now: datetime) -> None:
    detail = {"name": row.name, "interval_s": row.interval_s, "grace_s": row.grace_s, "state": row.state}
    await record(
        session, actor=actor, action=f"heartbeat.{done}", subject=f"heartbeat:{row.id}", detail=detail, now=now
    )
