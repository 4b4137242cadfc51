"""When the last backup was made, kept in the database so that whoever watches Tocsin can see it."""

from __future__ import annotations

from datetime import datetime

from app.db.engine import Database
from app.db.system import system_call
from app.settings.database import DatabaseSettings


async def report_backup(settings: DatabaseSettings, *, taken_at: datetime, size_bytes: int) -> None:
    """This will write down a success, unless a later one is known; the backup role itself may write nothing."""
    database = Database.from_settings(settings)
    try:
        statement = "select tocsin_private.report_backup($1, $2)"
        await system_call(database, statement, taken_at, size_bytes, reason="backup.report")
    finally:
        await database.dispose()
