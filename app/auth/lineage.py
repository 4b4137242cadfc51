"""Which token made which. There are tokens and no persons, so this is the nearest that there is to "one hand"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Text, cast, literal, select

from app.auth.models import ApiTokenRow
from app.db.tenancy import TenantSession

_MAX_MAKERS: Final = 50


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a token comes from.

    Attributes:
        made_at: When it was made.
        makers: The ids of the token that made it, of the one that made that, and so on up to who is no token of this
            tenant: an operator, or the command line.
        whole: False where the line is so long that nobody made it in good faith, and was followed no further.
    """

    made_at: datetime
    makers: frozenset[str]
    whole: bool


async def origin_of(session: TenantSession, *, token_id: UUID) -> Origin | None:
    """This will return where a token of this tenant comes from, revoked ones in the line included; None if unknown."""
    row = await session.get(ApiTokenRow, (session.tenant_id, token_id))
    if row is None:
        return None
    own = select(literal(row.created_by).label("maker"), literal(1).label("steps")).cte("line", recursive=True)
    line = own.union_all(
        select(ApiTokenRow.created_by, own.c.steps + 1)
        .join(own, cast(ApiTokenRow.id, Text) == own.c.maker)
        .where(ApiTokenRow.tenant_id == session.tenant_id, own.c.steps < _MAX_MAKERS)
    )
    makers = (await session.execute(select(line.c.maker))).scalars().all()
    return Origin(made_at=row.created_at, makers=frozenset(makers), whole=len(makers) < _MAX_MAKERS)
