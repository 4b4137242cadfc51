"""Showing when the last backup was made: a backup that stops being made is noticed only where its age is watched."""

from __future__ import annotations

from sqlalchemy import text

from app.db.system import SystemSession
from app.observability.metrics import gauge
from workers.now_and_then import NowAndThen

LAST_BACKUP = gauge(
    "tocsin_backup_last_success_timestamp_seconds",
    "Unix time of the last backup that was reported; 0 where none ever was.",
    (),
)
SIZE = gauge("tocsin_backup_size_bytes", "Size of the last backup that was reported.", ())
EVERY_S = 60.0


class BackupWatch(NowAndThen):
    """A sweep of the relay's that reads the last report."""

    every_s = EVERY_S

    async def look(self, session: SystemSession) -> None:
        """This will set the gauges."""
        row = (
            await session.execute(text("select taken_at, size_bytes from tocsin_private.last_backup()"))
        ).one_or_none()
        LAST_BACKUP.set(row[0].timestamp() if row is not None else 0)
        SIZE.set(row[1] if row is not None else 0)
