"""Leases of targets, the ledger of acts, and how past runs on a target ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.remediation.models import ActRow, RunRow, RunTargetRow, TargetLeaseRow
from app.remediation.rules.states import INEFFECTIVE, Mode, Outcome

_LIVE = (Mode.AUTO.value, Mode.APPROVE_EACH.value)
_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:name, 0))")


async def serialise_target(session: TenantSession, target_id: UUID) -> None:
    """This will let one transaction at a time decide about a target, until it ends."""
    await session.execute(_LOCK, {"name": f"remediation:{session.tenant_id}:{target_id}"})


async def serialise_tenant(session: TenantSession) -> None:
    """This will let one transaction at a time count the tenant's acts; taken after a target's."""
    await session.execute(_LOCK, {"name": f"remediation:{session.tenant_id}"})


async def take_lease(
    session: TenantSession, *, target_id: UUID, run_id: UUID, now: datetime, until: datetime
) -> UUID | None:
    """This will make the run the target's holder and return None, or return the run that holds it."""
    statement = (
        insert(TargetLeaseRow)
        .values(tenant_id=session.tenant_id, id=target_id, run_id=run_id, epoch=1, taken_at=now, until=until)
        .on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={"run_id": run_id, "epoch": TargetLeaseRow.epoch + 1, "taken_at": now, "until": until},
            where=TargetLeaseRow.run_id.is_(None) | (TargetLeaseRow.run_id == run_id),
        )
        .returning(TargetLeaseRow.run_id)
    )
    if (await session.execute(statement)).scalar_one_or_none() is not None:
        return None
    return await holder_of(session, target_id)


async def holder_of(session: TenantSession, target_id: UUID) -> UUID | None:
    statement = select(TargetLeaseRow.run_id).where(
        TargetLeaseRow.tenant_id == session.tenant_id, TargetLeaseRow.id == target_id
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def release_leases(session: TenantSession, *, run_id: UUID) -> None:
    await session.execute(
        update(TargetLeaseRow)
        .where(TargetLeaseRow.tenant_id == session.tenant_id, TargetLeaseRow.run_id == run_id)
        .values(run_id=None)
    )


async def count_acts(
    session: TenantSession, *, since: datetime, target_id: UUID | None, except_act: tuple[UUID, str, int]
) -> int:
    """This will count acts, leaving out the one that is being decided on (it may be intended a second time)."""
    statement = select(func.count()).select_from(ActRow).where(*_acts(session, target_id), ActRow.at > since)
    run_id, step_key, iteration = except_act
    this_one = (ActRow.run_id == run_id) & (ActRow.step_key == step_key) & (ActRow.iteration == iteration)
    return int((await session.execute(statement.where(~this_one))).scalar_one())


async def last_act_by_others(session: TenantSession, *, target_id: UUID, run_id: UUID) -> datetime | None:
    statement = select(func.max(ActRow.at)).where(*_acts(session, target_id), ActRow.run_id != run_id)
    return (await session.execute(statement)).scalar_one_or_none()


async def record_act(
    session: TenantSession, *, target_id: UUID, act: tuple[UUID, str, int], action: str, now: datetime
) -> None:
    """This will enter the act into the ledger, once however often it is intended."""
    run_id, step_key, iteration = act
    await session.execute(
        insert(ActRow)
        .values(
            tenant_id=session.tenant_id,
            id=new_id(),
            target_id=target_id,
            run_id=run_id,
            step_key=step_key,
            iteration=iteration,
            action=action,
            at=now,
        )
        .on_conflict_do_nothing()
    )


def _acts(session: TenantSession, target_id: UUID | None) -> Iterable[ColumnElement[bool]]:
    yield ActRow.tenant_id == session.tenant_id
    if target_id is not None:
        yield ActRow.target_id == target_id


async def ineffective_in_a_row(
    session: TenantSession, *, target_id: UUID, since: datetime, at_most: int
) -> tuple[int, datetime | None]:
    """This will count the newest live runs that acted here in vain, back to the last that helped.

    Returns:
        The count, and when the newest of them ended.
    """
    statement = (
        select(RunRow.outcome, RunRow.ended_at)
        .join(RunTargetRow, (RunTargetRow.tenant_id == RunRow.tenant_id) & (RunTargetRow.run_id == RunRow.id))
        .where(
            RunRow.tenant_id == session.tenant_id,
            RunTargetRow.target_id == target_id,
            RunRow.mode.in_(_LIVE),
            RunRow.acted,
            RunRow.ended_at > since,
        )
        .order_by(RunRow.ended_at.desc(), RunRow.id.desc())
        .limit(at_most)
    )
    count, newest = 0, None
    for outcome, ended_at in (await session.execute(statement)).all():
        if outcome not in INEFFECTIVE:
            break
        count, newest = count + 1, newest or ended_at
    return count, newest


async def was_refused_since(session: TenantSession, *, target_id: UUID, code: str, since: datetime) -> bool:
    """This will say whether a run on the target was already refused for this reason after ``since``."""
    statement = (
        select(RunRow.id)
        .join(RunTargetRow, (RunTargetRow.tenant_id == RunRow.tenant_id) & (RunTargetRow.run_id == RunRow.id))
        .where(
            RunRow.tenant_id == session.tenant_id,
            RunTargetRow.target_id == target_id,
            RunRow.outcome == Outcome.REFUSED.value,
            RunRow.reason_code == code,
            RunRow.ended_at >= since,
        )
    )
    return (await session.execute(statement.limit(1))).first() is not None


HOUR = timedelta(hours=1)
