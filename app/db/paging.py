"""One page of a list: by id, which grows with time, and never by counting rows off."""

from __future__ import annotations

from typing import TypeVarTuple
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

_Columns = TypeVarTuple("_Columns")


def newest_first(
    query: Select[*_Columns], key: InstrumentedAttribute[UUID], *, before: UUID | None, limit: int
) -> Select[*_Columns]:
    """This will return the query's newest ``limit`` rows, older than ``before`` where that is given."""
    if before is not None:
        query = query.where(key < before)
    return query.order_by(key.desc()).limit(limit)
