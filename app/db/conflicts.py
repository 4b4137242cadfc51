"""Leaving it to a constraint which of two was first: a look before the write would let both through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError

from app.core.errors import TocsinError
from app.db.tenancy import TenantSession


@asynccontextmanager
async def refused_by(session: TenantSession, constraint: str, error: TocsinError) -> AsyncIterator[None]:
    """This will write what the block changed, and raise ``error`` where the constraint refuses it.

    Args:
        session: The transaction; without what the block wrote, it can go on.
        constraint: Its name in the database.
        error: What the refusal means to the caller.
    """
    try:
        async with session.begin_nested():
            yield
            await session.flush()
    except IntegrityError as refusal:
        # By the driver's own field: the message repeats values, which callers choose.
        cause = refusal.orig.__cause__ if refusal.orig is not None else None
        if getattr(cause, "constraint_name", None) != constraint:
            raise
        raise error from refusal
