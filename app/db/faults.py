"""Which failures of a statement lie in what else the database is doing just now, and not in what it was asked."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.db.tenancy import DatabaseUnavailable

# Source: PostgreSQL 18, appendix A: resources used up, deadlocks and serialisation failures; a lock that was not to be had in
# time, a server that shuts down or has not begun yet. Not a connection that is lost in the midst of a statement, nor a
# statement that took too long: the statement may be why.
_PASSING_CLASSES = ("53", "40")
_PASSING = frozenset({"55P03", "57P01", "57P03"})


def is_passing(error: BaseException) -> bool:
    """This will say whether the same may well succeed in a while, without anybody's doing."""
    if isinstance(error, PoolTimeout | DatabaseUnavailable):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(getattr(error.orig, "__cause__", None), asyncpg.InvalidCachedStatementError):
        return True  # the schema was migrated beneath it
    state = str(getattr(error.orig, "sqlstate", "") or "")
    return state in _PASSING or state.startswith(_PASSING_CLASSES)
