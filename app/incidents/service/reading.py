"""Looking at incidents, alerts and timelines."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.core.errors import NotFound
from app.core.ids import AlertId, IncidentId
from app.db.tenancy import TenantSession
from app.incidents.repository import reading
from app.incidents.repository.reading import AlertFilter, IncidentFilter
from app.incidents.rules.states import AlertStatus
from app.incidents.schemas import AlertView, IncidentView, TimelineEntryView


class IncidentNotFound(NotFound):
    """No such incident in this tenant."""

    code = "incident.not_found"
    title = "No such incident"


class AlertNotFound(NotFound):
    """No such alert in this tenant."""

    code = "alert.not_found"
    title = "No such alert"


async def require_incident(session: TenantSession, *, incident_id: IncidentId) -> tuple[UUID, str]:
    """This will return the source and the group key of an incident.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    found = await reading.find_group_of(session, incident_id=incident_id)
    if found is None:
        raise IncidentNotFound(incident_id=str(incident_id))
    return found


async def get_incident(session: TenantSession, *, incident_id: IncidentId) -> IncidentView:
    """This will return the incident.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    row = await reading.find_incident(session, incident_id=incident_id)
    if row is None:
        raise IncidentNotFound(incident_id=str(incident_id))
    return IncidentView.model_validate(row)


async def get_incident_by_number(session: TenantSession, *, number: int) -> IncidentView:
    """This will return the incident with the number that people use.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    row = await reading.find_numbered(session, number=number) if number < 2**63 else None
    if row is None:
        raise IncidentNotFound(f"there is no incident #{number}")
    return IncidentView.model_validate(row)


async def find_incidents(session: TenantSession, *, ids: Sequence[UUID]) -> list[IncidentView]:
    """This will return those of the incidents that are this tenant's, oldest first."""
    return [IncidentView.model_validate(row) for row in await reading.find_incidents(session, ids=ids)] if ids else []


async def find_alerts(session: TenantSession, *, ids: Sequence[UUID]) -> list[AlertView]:
    """This will return those of the alerts that are this tenant's, oldest first."""
    return [AlertView.model_validate(row) for row in await reading.find_alerts(session, ids=ids)] if ids else []


async def list_incidents(
    session: TenantSession, *, wanted: IncidentFilter, before: UUID | None, limit: int
) -> list[IncidentView]:
    """This will return up to ``limit`` incidents, newest first, older than the id ``before``."""
    rows = await reading.list_incidents(session, wanted=wanted, before=before, limit=limit)
    return [IncidentView.model_validate(row) for row in rows]


async def get_alert(session: TenantSession, *, alert_id: AlertId) -> AlertView:
    """This will return the alert.

    Raises:
        AlertNotFound: There is no such alert here.
    """
    row = await reading.find_alert(session, alert_id=alert_id)
    if row is None:
        raise AlertNotFound(alert_id=str(alert_id))
    return AlertView.model_validate(row)


async def list_alerts(
    session: TenantSession, *, wanted: AlertFilter, before: UUID | None, limit: int
) -> list[AlertView]:
    """This will return up to ``limit`` alerts, newest first, older than the id ``before``."""
    rows = await reading.list_alerts(session, wanted=wanted, before=before, limit=limit)
    return [AlertView.model_validate(row) for row in rows]


async def list_timeline(
    session: TenantSession, *, incident_id: IncidentId, after: UUID | None, limit: int
) -> list[TimelineEntryView]:
    """This will return up to ``limit`` entries of the timeline, oldest first, newer than the id ``after``.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    await require_incident(session, incident_id=incident_id)
    rows = await reading.list_timeline(session, incident_id=incident_id, after=after, limit=limit)
    return [TimelineEntryView.model_validate(row) for row in rows]


async def list_latest_entries(
    session: TenantSession, *, incident_id: IncidentId, kinds: Sequence[str], limit: int
) -> list[TimelineEntryView]:
    """This will return up to ``limit`` entries of these kinds, or of all, newest first: how a long story ended.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    await require_incident(session, incident_id=incident_id)
    rows = await reading.list_latest_entries(session, incident_id=incident_id, kinds=kinds, limit=limit)
    return [TimelineEntryView.model_validate(row) for row in rows]


async def find_open_alert_status(
    session: TenantSession, *, incident_id: IncidentId, alert_name: str | None = None
) -> AlertStatus | None:
    """This will say whether the incident's alerts fire: firing while one does, resolved when all ended.

    Args:
        session: A tenant transaction.
        incident_id: Whose alerts.
        alert_name: Only those of this name (``AlertView.name``).

    Returns:
        None where the incident has no such alert, which says nothing about the cause.
    """
    statuses = await reading.list_alert_statuses(session, incident_id=incident_id, name=alert_name)
    if not statuses:
        return None
    return AlertStatus.FIRING if AlertStatus.FIRING in statuses else AlertStatus.RESOLVED
