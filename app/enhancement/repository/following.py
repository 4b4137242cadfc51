"""What enhancement made of incidents, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, literal, select

from app.db.tenancy import TenantSession
from app.enhancement.models import EnhancementRow, TicketRow


async def enhancements_of(
    session: TenantSession, *, incident_ids: Sequence[UUID], limit: int
) -> list[tuple[EnhancementRow, TicketRow]]:
    """This will return the incidents' enhancements with their tickets, oldest first."""
    query = (
        select(EnhancementRow, TicketRow)
        .join(
            TicketRow,
            and_(TicketRow.tenant_id == EnhancementRow.tenant_id, TicketRow.id == EnhancementRow.ticket_id),
        )
        .where(
            EnhancementRow.tenant_id == session.tenant_id,
            EnhancementRow.incident_id == any_(literal(list(incident_ids), ARRAY(Uuid))),
        )
        .order_by(EnhancementRow.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]
