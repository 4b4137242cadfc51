"""``/v1/feedback``, ``/v1/enhancements``, ``/v1/knowledge`` and ``/v1/desks``."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from app.auth.deps import EngineerWrite, ResponderWrite, TenantTx, Viewer
from app.db.jobs.queue import enqueue
from app.enhancement import service
from app.enhancement.deps import NoSuchTenant, UnknownParameter, only_parameters, own_tenant
from app.enhancement.jobs import EnhanceTicket
from app.enhancement.schemas import (
    NO_NUL,
    DeskChange,
    DeskView,
    EnhancementState,
    EnhancementSummary,
    EnhancementView,
    FeedbackStats,
    FeedbackView,
    KnowledgeEntryView,
    NewDesk,
    NewFeedback,
    NewKnowledgeEntry,
)
from app.enhancement.service.catalogue import UnknownDeskKind
from app.enhancement.service.desks import DeskNameTaken, DeskNotFound, DeskOptionsInvalid, DeskSourceNotFound
from app.enhancement.service.enhancements import EnhancementNotFound, EnhancementStillRunning
from app.enhancement.service.feedback import DatesReversed, NothingToRate, day_range
from app.enhancement.service.knowledge import KnowledgeEntryNotFound
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses
from app.net.keyring import KeyRing

router = APIRouter(prefix="/v1", tags=["enhancement"])

_Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
StartDate = Annotated[_Day | None, Query(description="First day, UTC, included.")]
EndDate = Annotated[_Day | None, Query(description="Last day, UTC, included.")]
_PAGED = problem_responses(InvalidCursor, UnknownParameter)
_DESK_PROBLEMS = problem_responses(UnknownDeskKind, DeskNameTaken, DeskOptionsInvalid, DeskSourceNotFound)


@router.post(
    "/feedback",
    status_code=201,
    response_model=FeedbackView,
    responses=problem_responses(NothingToRate),
    summary="Rate a note",
)
async def give_feedback(write: ResponderWrite, body: NewFeedback) -> Response:
    return await write.answer(
        lambda: service.give_feedback(write.session, given=body, actor=write.actor, now=write.now), status=201
    )


@router.get(
    "/feedback",
    responses=_PAGED | problem_responses(NoSuchTenant, DatesReversed),
    summary="List ratings, newest first",
    dependencies=[
        Depends(only_parameters("tenant_id", "start_date", "end_date", "ticket_id", "enhancement_id", "max_rating")),
        Depends(own_tenant),
    ],
)
async def list_feedback(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    start_date: StartDate = None,
    end_date: EndDate = None,
    ticket_id: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
    enhancement_id: UUID | None = None,
    max_rating: Annotated[int | None, Query(ge=1, le=5, description="Only ratings of at most this.")] = None,
) -> CursorPage[FeedbackView]:
    start, end = day_range(start_date, end_date)
    found = await service.list_feedback(
        session,
        start=start,
        end=end,
        ticket=ticket_id,
        enhancement_id=enhancement_id,
        max_rating=max_rating,
        before=page.after_id,
        limit=page.limit + 1,
    )
    return page.build(found, key=lambda item: item.id)


@router.get(
    "/feedback/stats",
    responses=problem_responses(NoSuchTenant, DatesReversed, UnknownParameter),
    summary="Ratings summed up, against the targets",
    dependencies=[Depends(only_parameters("tenant_id", "start_date", "end_date")), Depends(own_tenant)],
)
async def feedback_stats(
    principal: Viewer, session: TenantTx, start_date: StartDate = None, end_date: EndDate = None
) -> FeedbackStats:
    return await service.feedback_stats(session, start_date=start_date, end_date=end_date)


@router.get(
    "/enhancements",
    responses=_PAGED,
    summary="List enhancements, newest first",
    dependencies=[Depends(only_parameters("state", "reason", "ticket", "incident_id"))],
)
async def list_enhancements(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    state: EnhancementState | None = None,
    reason: Annotated[
        str | None, Query(max_length=60, pattern=NO_NUL, description="A reason code, ticket_closed for example.")
    ] = None,
    ticket: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description="The desk's ticket number.")
    ] = None,
    incident_id: UUID | None = None,
) -> CursorPage[EnhancementSummary]:
    found = await service.list_enhancements(
        session,
        state=state,
        reason=reason,
        ticket=ticket,
        incident_id=incident_id,
        before=page.after_id,
        limit=page.limit + 1,
    )
    return page.build(found, key=lambda item: item.id)


@router.get(
    "/enhancements/{enhancement_id}",
    responses=problem_responses(EnhancementNotFound),
    summary="Read an enhancement with its note and evidence",
)
async def get_enhancement(principal: Viewer, session: TenantTx, enhancement_id: UUID) -> EnhancementView:
    return await service.get_enhancement(session, enhancement_id=enhancement_id)


@router.post(
    "/enhancements/{enhancement_id}/retry",
    status_code=202,
    response_model=EnhancementView,
    responses=problem_responses(EnhancementNotFound, EnhancementStillRunning),
    summary="Write the note again; the ticket keeps one note",
)
async def retry_enhancement(write: ResponderWrite, enhancement_id: UUID) -> Response:
    async def restart() -> EnhancementView:
        view = await service.restart_enhancement(
            write.session, enhancement_id=enhancement_id, actor=write.actor, now=write.now
        )
        if await enqueue(write.session, EnhanceTicket(enhancement_id=view.id), unique_key=str(view.id)) is None:
            raise EnhancementStillRunning("A job for it is open.")
        return view

    return await write.answer(restart, status=202)


@router.get(
    "/knowledge",
    responses=_PAGED,
    summary="List documentation, newest first",
    dependencies=[Depends(only_parameters())],
)
async def list_knowledge(principal: Viewer, session: TenantTx, page: PageParams) -> CursorPage[KnowledgeEntryView]:
    found = await service.list_knowledge_entries(session, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda item: item.id)


@router.post("/knowledge", status_code=201, response_model=KnowledgeEntryView, summary="Add documentation")
async def create_knowledge(write: EngineerWrite, body: NewKnowledgeEntry) -> Response:
    return await write.answer(
        lambda: service.create_knowledge_entry(write.session, **body.model_dump(), actor=write.actor, now=write.now),
        status=201,
    )


@router.get(
    "/knowledge/{entry_id}",
    responses=problem_responses(KnowledgeEntryNotFound),
    summary="Read an entry of the documentation",
)
async def get_knowledge(principal: Viewer, session: TenantTx, entry_id: UUID) -> KnowledgeEntryView:
    return await service.get_knowledge_entry(session, entry_id=entry_id)


@router.put(
    "/knowledge/{entry_id}",
    response_model=KnowledgeEntryView,
    responses=problem_responses(KnowledgeEntryNotFound),
    summary="Replace an entry of the documentation",
)
async def replace_knowledge(write: EngineerWrite, entry_id: UUID, body: NewKnowledgeEntry) -> Response:
    return await write.answer(
        lambda: service.replace_knowledge_entry(
            write.session, entry_id=entry_id, **body.model_dump(), actor=write.actor, now=write.now
        )
    )


@router.delete(
    "/knowledge/{entry_id}",
    status_code=204,
    responses=problem_responses(KnowledgeEntryNotFound),
    summary="Remove an entry of the documentation",
)
async def delete_knowledge(write: EngineerWrite, entry_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_knowledge_entry(write.session, entry_id=entry_id, actor=write.actor, now=write.now),
        status=204,
    )


@router.get(
    "/desks",
    responses=_PAGED,
    summary="List ticket systems, newest first",
    dependencies=[Depends(only_parameters())],
)
async def list_desks(principal: Viewer, session: TenantTx, page: PageParams) -> CursorPage[DeskView]:
    found = await service.list_desks(session, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda item: item.id)


@router.post(
    "/desks", status_code=201, response_model=DeskView, responses=_DESK_PROBLEMS, summary="Add a ticket system"
)
async def create_desk(write: EngineerWrite, body: NewDesk) -> Response:
    return await write.answer(
        lambda: service.create_desk(
            write.session,
            keyring=write.resources.get(KeyRing),
            kind=body.kind,
            name=body.name,
            base_url=body.base_url,
            secret=body.secret.get_secret_value(),
            options=body.options,
            source_id=body.source_id,
            allows_model=body.allows_model,
            actor=write.actor,
            now=write.now,
        ),
        status=201,
    )


@router.get(
    "/desks/{desk_id}", responses=problem_responses(DeskNotFound), summary="Read a ticket system, without its key"
)
async def get_desk(principal: Viewer, session: TenantTx, desk_id: UUID) -> DeskView:
    return await service.get_desk(session, desk_id=desk_id)


@router.patch(
    "/desks/{desk_id}",
    response_model=DeskView,
    responses=problem_responses(DeskNotFound, UnknownDeskKind, DeskNameTaken, DeskOptionsInvalid),
    summary="Change a ticket system",
)
async def change_desk(write: EngineerWrite, desk_id: UUID, body: DeskChange) -> Response:
    changes = body.model_dump(exclude_none=True, exclude={"secret"}, mode="json")
    return await write.answer(
        lambda: service.change_desk(
            write.session,
            keyring=write.resources.get(KeyRing),
            desk_id=desk_id,
            changes=changes,
            secret=body.secret.get_secret_value() if body.secret is not None else None,
            actor=write.actor,
            now=write.now,
        )
    )


@router.delete(
    "/desks/{desk_id}", status_code=204, responses=problem_responses(DeskNotFound), summary="Remove a ticket system"
)
async def delete_desk(write: EngineerWrite, desk_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_desk(write.session, desk_id=desk_id, actor=write.actor, now=write.now), status=204
    )
