"""Finding an alert by what its sender calls it."""

from __future__ import annotations

from sqlalchemy import select

from app.core.ids import SourceId
from app.db.tenancy import TenantSession
from app.incidents.models import AlertHeadRow, AlertRow, IncidentRow
from app.incidents.rules.signals import normalise_dedup_key
from app.incidents.schemas import AlertView


async def find_alert_of_key(session: TenantSession, *, source_id: SourceId, dedup_key: str) -> AlertView | None:
    """This will return the newest episode of the key, as the sender writes it."""
    stored = normalise_dedup_key(dedup_key, title="", labels={})
    query = (
        select(AlertRow)
        .join(AlertHeadRow, (AlertHeadRow.tenant_id == AlertRow.tenant_id) & (AlertHeadRow.alert_id == AlertRow.id))
        .where(
            AlertHeadRow.tenant_id == session.tenant_id,
            AlertHeadRow.source_id == source_id,
            AlertHeadRow.dedup_key == stored,
        )
    )
    return _view((await session.scalars(query)).one_or_none())


async def find_alert_of_number(session: TenantSession, *, source_id: SourceId, number: int) -> AlertView | None:
    """This will return the first alert of the source's incident with this number."""
    query = (
        select(AlertRow)
        .join(IncidentRow, (IncidentRow.tenant_id == AlertRow.tenant_id) & (IncidentRow.id == AlertRow.incident_id))
        .where(
            IncidentRow.tenant_id == session.tenant_id,
            IncidentRow.number == number,
            IncidentRow.source_id == source_id,
            AlertRow.source_id == source_id,
        )
        .order_by(AlertRow.id)
        .limit(1)
    )
    return _view((await session.scalars(query)).one_or_none())


def _view(row: AlertRow | None) -> AlertView | None:
    return AlertView.model_validate(row) if row is not None else None
