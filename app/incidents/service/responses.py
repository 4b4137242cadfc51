"""What responders and runbooks do to an incident: acknowledge, resolve, reopen, assign, note."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict
from app.core.ids import IncidentId
from app.db.tenancy import TenantSession
from app.incidents.models import IncidentRow
from app.incidents.repository import locking, writing
from app.incidents.rules.flood import group_owner
from app.incidents.rules.signals import MAX_NOTE, clean
from app.incidents.rules.states import OPEN_STATES, IncidentAction, IncidentState, next_state
from app.incidents.schemas import IncidentView, TimelineEntryView
from app.incidents.service.announce import announce_resolved, announce_updated, timeline_row
from app.incidents.service.reading import IncidentNotFound, require_incident

MAX_REASON = 2_000
MAX_SUMMARY = 500
NO_REASON = "no reason given"


class GroupHasOpenIncident(Conflict):
    """A newer incident of the same group is open; two open ones would share its alerts."""

    code = "incident.group_has_open_incident"
    title = "A newer incident of the same group is open"
    hint = "Work on the open incident, or resolve it first."


async def acknowledge_incident(
    session: TenantSession, *, incident_id: IncidentId, actor: Actor, reason: str, now: datetime
) -> IncidentView:
    """This will say that somebody is on it; acknowledging twice changes nothing.

    Raises:
        IncidentNotFound: There is no such incident here.
        InvalidTransition: It is over.
    """
    row = await _lock(session, incident_id)
    if IncidentState(row.state) is IncidentState.ACKNOWLEDGED:
        return IncidentView.model_validate(row)
    row.state = next_state(IncidentState(row.state), IncidentAction.ACKNOWLEDGE).value
    row.acknowledged_at, row.acknowledged_by = now, actor.name
    await _store(session, row, now)
    await _tell(session, row.id, actor=actor, what="acknowledged", summary="Acknowledged", reason=reason, now=now)
    return IncidentView.model_validate(row)


async def resolve_incident(
    session: TenantSession, *, incident_id: IncidentId, actor: Actor, reason: str, now: datetime
) -> IncidentView:
    """This will end the incident; resolving twice changes nothing.

    Its alerts keep what their sender says. A firing that began before ``now`` does not reopen the incident, one that
    begins later does.

    Raises:
        IncidentNotFound: There is no such incident here.
        InvalidTransition: It is closed or merged.
    """
    row = await _lock(session, incident_id)
    if IncidentState(row.state) is IncidentState.RESOLVED:
        return IncidentView.model_validate(row)
    row.state = next_state(IncidentState(row.state), IncidentAction.RESOLVE).value
    row.resolved_at, row.resolved_by = now, actor.name
    await _store(session, row, now)
    await _append(session, row.id, actor=actor, kind="incident.resolved", summary="Resolved", reason=reason, now=now)
    await announce_resolved(session, incident_id=row.id, actor=actor, reason=clean(reason, MAX_REASON), now=now)
    return IncidentView.model_validate(row)


async def reopen_incident(
    session: TenantSession, *, incident_id: IncidentId, actor: Actor, reason: str, now: datetime
) -> IncidentView:
    """This will put the incident back to open.

    Raises:
        IncidentNotFound: There is no such incident here.
        InvalidTransition: It is open already, closed or merged.
        GroupHasOpenIncident: Its group has gone on to a newer incident that is open.
    """
    source_id, group_key = await require_incident(session, incident_id=incident_id)
    owner = group_owner(group_key, source_id=source_id, tenant_id=session.tenant_id)
    # The group is locked before its incidents, as everywhere: a firing of the group decides the same question.
    (group,) = await locking.lock_groups(session, owner_id=owner, keys=[group_key], now=now)
    newest_id = group.incident_id or incident_id
    rows = {row.id: row for row in await locking.lock_incidents(session, ids=sorted({incident_id, newest_id}))}
    row, newest = rows[incident_id], rows[newest_id]
    state = next_state(IncidentState(row.state), IncidentAction.REOPEN)
    if newest is not row and IncidentState(newest.state) in OPEN_STATES:
        raise GroupHasOpenIncident(open_incident_id=str(newest.id))
    row.state = state.value
    row.acknowledged_at = row.acknowledged_by = row.resolved_at = row.resolved_by = None
    await _store(session, row, now)
    groups = [{"group_key": group_key, "incident_id": row.id}]
    await writing.update_groups(session, owner_id=owner, rows=groups, now=now)
    await _tell(session, row.id, actor=actor, what="reopened", summary="Reopened", reason=reason, now=now)
    return IncidentView.model_validate(row)


async def assign_incident(
    session: TenantSession, *, incident_id: IncidentId, assignee: str | None, actor: Actor, reason: str, now: datetime
) -> IncidentView:
    """This will hand the incident to somebody, or to nobody with None.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    row = await _lock(session, incident_id)
    if row.assignee == assignee:
        return IncidentView.model_validate(row)
    data = {"from": row.assignee, "to": assignee}
    row.assignee = assignee
    await _store(session, row, now)
    summary = f"Assigned to {assignee}" if assignee else "Assigned to nobody"
    await _tell(session, row.id, actor=actor, what="assigned", summary=summary, reason=reason, now=now, data=data)
    return IncidentView.model_validate(row)


async def add_note(
    session: TenantSession, *, incident_id: IncidentId, actor: Actor, text: str, reason: str, now: datetime
) -> TimelineEntryView:
    """This will add a note to the timeline.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    await require_incident(session, incident_id=incident_id)
    note = clean(text, MAX_NOTE)
    summary = clean(" ".join(note.split()), 120)
    return await _tell(
        session, incident_id, actor=actor, what="note", summary=summary, reason=reason, now=now, data={"text": note}
    )


async def record_timeline(
    session: TenantSession,
    *,
    incident_id: IncidentId,
    actor: Actor,
    kind: str,
    summary: str,
    reason: str,
    data: Mapping[str, Any],
    now: datetime,
) -> TimelineEntryView:
    """This will append what another part of Tocsin did about the incident.

    Args:
        session: The tenant transaction in which it happened.
        incident_id: Whose timeline.
        actor: Who or what did it.
        kind: Dotted and stable, ``run.started``.
        summary: What happened, in a line.
        reason: Why.
        data: Ids and numbers for machines; JSON values.
        now: When.

    Raises:
        IncidentNotFound: There is no such incident here.
    """
    await require_incident(session, incident_id=incident_id)
    return await _append(
        session, incident_id, actor=actor, kind=kind, summary=summary, reason=reason, now=now, data=data
    )


async def _lock(session: TenantSession, incident_id: IncidentId) -> IncidentRow:
    rows = await locking.lock_incidents(session, ids=[incident_id])
    if not rows:
        raise IncidentNotFound(incident_id=str(incident_id))
    return rows[0]


async def _store(session: TenantSession, row: IncidentRow, now: datetime) -> None:
    row.updated_at = now
    await session.flush()


async def _tell(
    session: TenantSession,
    incident_id: UUID,
    *,
    actor: Actor,
    what: str,
    summary: str,
    reason: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
) -> TimelineEntryView:
    """This will append to the timeline, audit and emit, in that order."""
    kind = f"incident.{what}"
    entry = await _append(
        session, incident_id, actor=actor, kind=kind, summary=summary, reason=reason, now=now, data=data or {}
    )
    detail = {"summary": summary, "reason": clean(reason, MAX_REASON), "timeline_entry_id": str(entry.id)}
    await record(session, actor=actor, action=kind, subject=f"incident:{incident_id}", detail=detail, now=now)
    await announce_updated(session, incident_id=incident_id, what=what, now=now)
    return entry


async def _append(
    session: TenantSession,
    incident_id: UUID,
    *,
    actor: Actor,
    kind: str,
    summary: str,
    reason: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
) -> TimelineEntryView:
    entry = timeline_row(
        incident_id=incident_id,
        actor=actor,
        kind=kind,
        summary=clean(summary, MAX_SUMMARY),
        reason=clean(reason.strip(), MAX_REASON) or NO_REASON,
        data=dict(data or {}),
        now=now,
    )
    await writing.insert_timeline(session, [entry])
    return TimelineEntryView(**entry)
