"""Naming an unexpected failure without quoting it: database errors carry the statement and its values, bodies included."""

from __future__ import annotations

import asyncpg
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def first_fault(error: ValidationError, *, whole: str = "config") -> str:
    """This will say which setting is wrong first, and why; ``whole`` names what no single setting is to blame for."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or whole}: {first['msg']}"


def name_of(error: BaseException) -> str:
    """This will return the error's type, with the database's own where there is one; other errors with their text."""
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        return f"{type(error).__name__} ({type(cause or error.orig).__name__})"
    if isinstance(error, (SQLAlchemyError, asyncpg.PostgresError)):
        return type(error).__name__
    return repr(error)[:500]
