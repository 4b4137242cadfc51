"""``/v1/incidents`` and ``/v1/alerts``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Response

from app.auth.deps import ResponderWrite, TenantTx, Viewer
from app.core.ids import AlertId, IncidentId
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses
from app.incidents import service
from app.incidents.deps import AlertFilters, IncidentFilters, NoFilters, UnknownFilter
from app.incidents.schemas import (
    AlertView,
    AssignRequest,
    IncidentView,
    NoteRequest,
    ReasonRequest,
    StormView,
    TimelineEntryView,
)

router = APIRouter(prefix="/v1", tags=["incidents"])

_LIST_PROBLEMS = problem_responses(InvalidCursor, UnknownFilter)
_STEP_PROBLEMS = problem_responses(service.IncidentNotFound, service.InvalidTransition)


@router.get("/incidents", summary="List incidents, newest first", responses=_LIST_PROBLEMS)
async def list_incidents(
    principal: Viewer, session: TenantTx, page: PageParams, wanted: IncidentFilters
) -> CursorPage[IncidentView]:
    found = await service.list_incidents(session, wanted=wanted, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda incident: incident.id)


@router.get(
    "/incidents/{incident_id}", summary="Read an incident", responses=problem_responses(service.IncidentNotFound)
)
async def get_incident(principal: Viewer, session: TenantTx, incident_id: UUID) -> IncidentView:
    return await service.get_incident(session, incident_id=IncidentId(incident_id))


@router.get(
    "/incidents/{incident_id}/alerts",
    summary="List an incident's alerts, newest first",
    responses=_LIST_PROBLEMS | problem_responses(service.IncidentNotFound),
    dependencies=[NoFilters],
)
async def list_incident_alerts(
    principal: Viewer, session: TenantTx, incident_id: UUID, page: PageParams
) -> CursorPage[AlertView]:
    incident = await service.get_incident(session, incident_id=IncidentId(incident_id))
    wanted = service.AlertFilter(incident_id=incident.id)
    found = await service.list_alerts(session, wanted=wanted, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda alert: alert.id)


@router.get(
    "/incidents/{incident_id}/storm",
    summary="What an alert storm's incident took in: exact counts by severity and by the commonest labels",
    responses=problem_responses(service.IncidentNotFound, service.NoStorm),
)
async def get_storm(principal: Viewer, session: TenantTx, incident_id: UUID) -> StormView:
    return await service.get_storm(session, incident_id=IncidentId(incident_id))


@router.get(
    "/incidents/{incident_id}/timeline",
    summary="Read an incident's timeline, oldest first: who or what did what, and why",
    responses=_LIST_PROBLEMS | problem_responses(service.IncidentNotFound),
    dependencies=[NoFilters],
)
async def list_timeline(
    principal: Viewer, session: TenantTx, incident_id: UUID, page: PageParams
) -> CursorPage[TimelineEntryView]:
    found = await service.list_timeline(
        session, incident_id=IncidentId(incident_id), after=page.after_id, limit=page.limit + 1
    )
    return page.build(found, key=lambda entry: entry.id)


@router.post(
    "/incidents/{incident_id}/acknowledge",
    summary="Say that somebody is on it",
    responses=_STEP_PROBLEMS,
    response_model=IncidentView,
)
async def acknowledge_incident(write: ResponderWrite, incident_id: UUID, body: ReasonRequest | None = None) -> Response:
    return await _step(write, service.acknowledge_incident, incident_id, body)


@router.post(
    "/incidents/{incident_id}/resolve",
    summary="End an incident",
    responses=_STEP_PROBLEMS,
    response_model=IncidentView,
)
async def resolve_incident(write: ResponderWrite, incident_id: UUID, body: ReasonRequest | None = None) -> Response:
    return await _step(write, service.resolve_incident, incident_id, body)


@router.post(
    "/incidents/{incident_id}/reopen",
    summary="Put an incident back to open",
    responses=problem_responses(service.IncidentNotFound, service.InvalidTransition, service.GroupHasOpenIncident),
    response_model=IncidentView,
)
async def reopen_incident(write: ResponderWrite, incident_id: UUID, body: ReasonRequest | None = None) -> Response:
    return await _step(write, service.reopen_incident, incident_id, body)


@router.post(
    "/incidents/{incident_id}/assign",
    summary="Hand an incident to somebody, or with null to nobody",
    responses=problem_responses(service.IncidentNotFound),
    response_model=IncidentView,
)
async def assign_incident(write: ResponderWrite, incident_id: UUID, body: AssignRequest) -> Response:
    return await write.answer(
        lambda: service.assign_incident(
            write.session,
            incident_id=IncidentId(incident_id),
            assignee=body.assignee,
            actor=write.actor,
            reason=body.reason,
            now=write.now,
        )
    )


@router.post(
    "/incidents/{incident_id}/notes",
    summary="Add a note to the timeline",
    status_code=201,
    responses=problem_responses(service.IncidentNotFound),
    response_model=TimelineEntryView,
)
async def add_note(write: ResponderWrite, incident_id: UUID, body: NoteRequest) -> Response:
    return await write.answer(
        lambda: service.add_note(
            write.session,
            incident_id=IncidentId(incident_id),
            actor=write.actor,
            text=body.text,
            reason=body.reason,
            now=write.now,
        ),
        status=201,
    )


@router.get("/alerts", summary="List alerts, newest first", responses=_LIST_PROBLEMS)
async def list_alerts(
    principal: Viewer, session: TenantTx, page: PageParams, wanted: AlertFilters
) -> CursorPage[AlertView]:
    found = await service.list_alerts(session, wanted=wanted, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda alert: alert.id)


@router.get("/alerts/{alert_id}", summary="Read an alert", responses=problem_responses(service.AlertNotFound))
async def get_alert(principal: Viewer, session: TenantTx, alert_id: UUID) -> AlertView:
    return await service.get_alert(session, alert_id=AlertId(alert_id))


async def _step(
    write: ResponderWrite,
    take: Callable[..., Awaitable[IncidentView]],
    incident_id: UUID,
    body: ReasonRequest | None,
) -> Response:
    return await write.answer(
        lambda: take(
            write.session,
            incident_id=IncidentId(incident_id),
            actor=write.actor,
            reason=body.reason if body else "",
            now=write.now,
        )
    )
