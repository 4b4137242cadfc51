"""Finding an alert by what its sender calls it."""

from __future__ import annotations

from app.core.ids import SourceId
from app.db.tenancy import TenantSession
from app.incidents.models import AlertRow
from app.incidents.repository import reading
from app.incidents.rules.signals import normalise_dedup_key
from app.incidents.schemas import AlertView


async def find_alert_of_key(session: TenantSession, *, source_id: SourceId, dedup_key: str) -> AlertView | None:
    """This will return the newest episode of the key, as the sender writes it."""
    stored = normalise_dedup_key(dedup_key, title="", labels={})
    return _view(await reading.find_alert_of_key(session, source_id=source_id, dedup_key=stored))


async def find_alert_of_number(session: TenantSession, *, source_id: SourceId, number: int) -> AlertView | None:
    """This will return the first alert of the source's incident with this number."""
    return _view(await reading.find_alert_of_number(session, source_id=source_id, number=number))


def _view(row: AlertRow | None) -> AlertView | None:
    return AlertView.model_validate(row) if row is not None else None
