"""What a failing statement means to the caller: try again, or send something that can be stored.

Only failures that say nothing about our code are here. Any other database error is a bug and stays one.

Source: PostgreSQL 18, appendix A, error codes.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.errors import Invalid, TocsinError, Unavailable

# Connections refused or lost, resources used up, an operator stepping in, locks and time-outs, serialisation failures.
_TRY_AGAIN_CLASSES = ("08", "53", "57", "40")
_TRY_AGAIN = frozenset({"55P03", "25P03"})
# Characters that no text column takes, such as NUL.
_NOT_STORABLE = frozenset({"22021", "22P05"})


class DatabaseBusy(Unavailable):
    """The database did not carry the statement out, for reasons that pass."""

    code = "database.busy"
    title = "The database could not finish this in time"


class NotStorable(Invalid):
    """A text holds characters that cannot be stored, such as NUL or half of a surrogate pair."""

    code = "text.not_storable"
    title = "A text holds characters that cannot be stored"
    hint = "Remove NUL characters and lone surrogates."


def translate(error: Exception) -> TocsinError | None:
    """This will return the anticipated failure that a database error stands for, or None for a bug."""
    if isinstance(error, PoolTimeout):
        return DatabaseBusy()
    cause = error.orig if isinstance(error, StatementError) else None
    if isinstance(cause, UnicodeError) or (isinstance(cause, TypeError) and "surrogates" in str(cause)):
        return NotStorable()
    if not isinstance(error, DBAPIError):
        return None
    state = str(getattr(cause, "sqlstate", "") or "")
    if state in _NOT_STORABLE or "surrogates not allowed" in str(cause):
        return NotStorable()
    if error.connection_invalidated or state in _TRY_AGAIN or state.startswith(_TRY_AGAIN_CLASSES):
        return DatabaseBusy()
    return None
