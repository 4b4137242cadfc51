"""A heartbeat's alert. Each change of it is a delivery of its source, so that receipts and replays know it."""

from __future__ import annotations

from datetime import datetime

from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.heartbeats.models import HeartbeatRow
from app.ingest.heartbeats.rules import spoken
from app.ingest.models import SourceRow
from app.ingest.own_events import say


async def raise_alert(
    session: TenantSession, row: HeartbeatRow, source: SourceRow, *, server_now: datetime, now: datetime
) -> None:
    """This will open the heartbeat's alert, dated from its deadline or from the failure that its sender reported."""
    row.alerted_at = row.alerted_at or server_now
    since = row.failed_at or row.deadline_at or server_now
    told = f"It reports every {spoken(row.interval_s)}"
    told += f", with {spoken(row.grace_s)} of grace." if row.grace_s else "."
    last = f"The last beat came at {row.last_beat_at:%Y-%m-%d %H:%M:%S} UTC." if row.last_beat_at else ""
    event = AlertEvent(
        dedup_key=dedup_key(row),
        status=AlertStatus.FIRING,
        title=f"{row.name} reported a failure" if row.failed_at else f"No heartbeat from {row.name}",
        description=f"{told} {last}".strip(),
        severity=Severity(row.severity),
        event_time=since,
        starts_at=since,
        labels={"heartbeat": row.name},
        group={"heartbeat": row.name},
    )
    await _say(session, row, source, event, said="failed" if row.failed_at else "missed", at=server_now, now=now)


async def end_alert(
    session: TenantSession, row: HeartbeatRow, source: SourceRow, *, at: datetime, because: str, now: datetime
) -> None:
    """This will resolve the heartbeat's alert, if one is open.

    Args:
        session: A tenant transaction.
        row: The heartbeat, locked.
        source: Its source.
        at: When it was over, by the database's clock.
        because: Why, for the alert's description.
        now: Stamped on rows.
    """
    if row.alerted_at is None:
        return
    row.alerted_at = None
    event = AlertEvent(
        dedup_key=dedup_key(row),
        status=AlertStatus.RESOLVED,
        title=f"No heartbeat from {row.name}",
        description=f"Over: {because}.",
        severity=Severity(row.severity),
        event_time=at,
        ends_at=at,
        labels={"heartbeat": row.name},
        group={"heartbeat": row.name},
    )
    await _say(session, row, source, event, said="over", at=at, now=now)


def dedup_key(row: HeartbeatRow) -> str:
    """This will return the key of the heartbeat's alert among those of its source."""
    return f"heartbeat:{row.name}"


async def _say(
    session: TenantSession,
    row: HeartbeatRow,
    source: SourceRow,
    event: AlertEvent,
    *,
    said: str,
    at: datetime,
    now: datetime,
) -> None:
    told = {"heartbeat": row.name, "is": said, "at": at, "beats": row.beats}
    await say(session, source, event, told=told, at=at, now=now)
