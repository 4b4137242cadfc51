"""Making checks, and drawing conclusions from what they were answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.db.conflicts import refused_by
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.checks.models import CheckRow
from app.ingest.checks.schemas import CheckCreate, CheckState, CheckUpdate
from app.ingest.heartbeats.rules import spoken
from app.ingest.models import SourceRow
from app.ingest.own_events import say
from app.ingest.repository import watches
from app.ingest.schemas import SourceState
from app.ingest.service import get_source
from app.net.egress import parse_url


class CheckNotFound(NotFound):
    """No check of this id for this tenant."""

    code = "check.not_found"
    title = "No such check"


class CheckNameTaken(Conflict):
    """Two checks of one source cannot have one name."""

    code = "check.name_taken"
    title = "The source has a check of this name"
    hint = "Choose another name, or change the existing check."


class TooManyChecks(Invalid):
    """The tenant has as many as it may have."""

    code = "check.too_many"
    title = "The tenant has too many checks"
    hint = "Delete those that are not needed any more."


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a question was answered.

    Attributes:
        error: Why that is wrong; empty where it is right.
        version: Of the check when it was asked.
    """

    error: str
    version: int


async def create_check(
    session: TenantSession, wanted: CheckCreate, *, most: int, actor: Actor, now: datetime
) -> CheckRow:
    """This will make a check; the caller has it asked.

    Raises:
        SourceNotFound: The tenant has no such source.
        CheckNameTaken: The source has one of this name.
        TooManyChecks: The tenant has ``most``.
    """
    # Locked, so that two requests at once count each other's check.
    await get_source(session, source_id=wanted.source_id, lock=True)
    row = CheckRow(
        **wanted.model_dump(exclude={"severity"}),
        tenant_id=session.tenant_id,
        id=new_id(),
        severity=wanted.severity.value,
        state=CheckState.NEW.value,
        failures=0,
        error="",
        version=1,
        created_at=now,
        updated_at=now,
    )
    taken = CheckNameTaken(f"there is a check {wanted.name!r}")
    async with refused_by(session, "uq_checks_tenant_id_source_id_name", taken):
        session.add(row)
    # Only now: who repeats a name at the limit hears that it is there. What was added goes with the transaction.
    if await watches.count_up_to(session, CheckRow, limit=most + 1) > most:
        raise TooManyChecks(f"{most} is the most a tenant can have")
    await _record(session, row, "created", actor, now)
    return row


async def update_check(
    session: TenantSession, *, check_id: UUID, wanted: CheckUpdate, actor: Actor, now: datetime
) -> CheckRow:
    """This will change a check; the caller has it asked anew.

    Raises:
        CheckNotFound: Not there, or another tenant's.
    """
    row, source, server_now = await _lock(session, check_id)
    for name in wanted.model_fields_set - {"paused", "severity"}:
        value = getattr(wanted, name)
        if value is not None or name == "expected_status":
            setattr(row, name, value)
    if wanted.severity is not None:
        row.severity = wanted.severity.value
    if wanted.paused is True:
        row.state, row.failures, row.error = CheckState.PAUSED.value, 0, ""
        await _end_alert(session, row, source, because="the check is paused", at=server_now, now=now)
    elif wanted.paused is False and row.state == CheckState.PAUSED.value:
        row.state = CheckState.NEW.value
    row.version += 1
    row.updated_at = now
    await session.flush()
    await _record(session, row, "changed", actor, now)
    return row


async def delete_check(session: TenantSession, *, check_id: UUID, actor: Actor, now: datetime) -> None:
    """This will forget a check and end its alert.

    Raises:
        CheckNotFound: Not there, or another tenant's.
    """
    row, source, server_now = await _lock(session, check_id)
    await _end_alert(session, row, source, because="the check was deleted", at=server_now, now=now)
    await _record(session, row, "deleted", actor, now)
    await session.delete(row)
    await session.flush()


async def get_check(session: TenantSession, *, check_id: UUID) -> CheckRow:
    """This will return one check.

    Raises:
        CheckNotFound: Not there, or another tenant's.
    """
    found = await watches.find_watch(session, CheckRow, check_id)
    if found is None:
        raise CheckNotFound(check_id=str(check_id))
    return found[0]


async def list_checks(
    session: TenantSession, *, source_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[CheckRow]:
    """This will return checks, newest first."""
    rows = await watches.list_watches(session, CheckRow, source_id=source_id, before=before, limit=limit)
    return [row for row, _ in rows]


async def conclude(
    session: TenantSession, *, check_id: UUID, answered: Answered | None, now: datetime
) -> CheckRow | None:
    """This will bring a check and its alert in line with an answer, in the caller's transaction.

    Args:
        session: A tenant transaction; the check stays locked in it.
        check_id: Which.
        answered: None where nobody was asked, as the source takes nothing: its alert ends.
        now: Stamped on rows.

    Returns:
        The check as it is now; None where it is not to be asked again, or was changed since and has another job for that.
    """
    found = await watches.lock_watch(session, CheckRow, check_id)
    if found is None or found[0].state == CheckState.PAUSED.value:
        return None
    row, source, server_now = found
    if answered is None or source.state != SourceState.ACTIVE.value:
        await _end_alert(session, row, source, because="its source takes nothing any more", at=server_now, now=now)
        row.state, row.failures, row.error = CheckState.NEW.value, 0, ""
        return row if source.state != SourceState.DELETED.value else None
    if answered.version != row.version:
        return None
    row.checked_at, row.error = server_now, answered.error
    row.failures = row.failures + 1 if answered.error else 0
    if not answered.error:
        row.state = CheckState.UP.value
        await _end_alert(session, row, source, because="it answers as it should", at=server_now, now=now)
    elif row.failures >= row.fails_after:
        row.state = CheckState.DOWN.value
        await _raise_alert(session, row, source, at=server_now, now=now)
    return row


async def _raise_alert(
    session: TenantSession, row: CheckRow, source: SourceRow, *, at: datetime, now: datetime
) -> None:
    if row.alerted_at is not None:
        return
    row.alerted_at = at
    times = f"{row.failures} times in a row" if row.failures > 1 else "at the first wrong answer"
    event = _event(
        row, AlertStatus.FIRING, f"{row.error} It is asked every {spoken(row.interval_s)}; down {times}.", at
    )
    told = {"check": row.name, "is": "down", "error": row.error, "failures": row.failures, "at": at}
    await say(session, source, event, told=told, at=at, now=now)


async def _end_alert(
    session: TenantSession, row: CheckRow, source: SourceRow, *, because: str, at: datetime, now: datetime
) -> None:
    if row.alerted_at is None:
        return
    row.alerted_at = None
    event = _event(row, AlertStatus.RESOLVED, f"Over: {because}.", at)
    await say(session, source, event, told={"check": row.name, "is": "over", "why": because, "at": at}, at=at, now=now)


def _event(row: CheckRow, status: AlertStatus, description: str, at: datetime) -> AlertEvent:
    return AlertEvent(
        dedup_key=f"check:{row.name}",
        status=status,
        title=f"{row.name} does not answer as it should",
        description=description,
        severity=Severity(row.severity),
        event_time=at,
        starts_at=at if status is AlertStatus.FIRING else None,
        ends_at=at if status is AlertStatus.RESOLVED else None,
        labels={"check": row.name, "host": parse_url(row.url).host},
        group={"check": row.name},
    )


async def _lock(session: TenantSession, check_id: UUID) -> tuple[CheckRow, SourceRow, datetime]:
    found = await watches.lock_watch(session, CheckRow, check_id)
    if found is None:
        raise CheckNotFound(check_id=str(check_id))
    return found


async def _record(session: TenantSession, row: CheckRow, done: str, actor: Actor, now: datetime) -> None:
    # Not the URL: what is behind its question mark may be a secret, and the audit is kept for ever.
    detail = {"name": row.name, "host": parse_url(row.url).host, "interval_s": row.interval_s, "state": row.state}
    await record(session, actor=actor, action=f"check.{done}", subject=f"check:{row.id}", detail=detail, now=now)
