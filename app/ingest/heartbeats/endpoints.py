"""``/v1/heartbeats``. The beats themselves come in at ``door.py``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import EngineerWrite, TenantTx, Viewer
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.ingest.heartbeats import service
from app.ingest.heartbeats.jobs import settle_soon
from app.ingest.heartbeats.schemas import HeartbeatCreate, HeartbeatUpdate, HeartbeatView
from app.ingest.service import SourceNotFound
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["heartbeats"])


@router.post(
    "/heartbeats",
    status_code=201,
    response_model=HeartbeatView,
    summary="Expect to hear of something; a missed beat opens an alert",
    responses=problem_responses(SourceNotFound, service.HeartbeatNameTaken, service.TooManyHeartbeats),
)
async def create_heartbeat(write: EngineerWrite, body: HeartbeatCreate) -> Response:
    most = write.resources.get(Settings).ingest.heartbeats_max
    return await write.answer(
        lambda: service.create_heartbeat(write.session, body, most=most, actor=write.actor, now=write.now), status=201
    )


@router.get("/heartbeats", summary="List heartbeats, newest first")
async def list_heartbeats(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    source_id: Annotated[UUID | None, Query(description="Of one source.")] = None,
) -> CursorPage[HeartbeatView]:
    rows = await service.list_heartbeats(session, source_id=source_id, before=page.after_id, limit=page.limit + 1)
    return page.build(rows, key=lambda heartbeat: heartbeat.id)


@router.get(
    "/heartbeats/{heartbeat_id}",
    summary="One heartbeat",
    responses=problem_responses(service.HeartbeatNotFound),
)
async def get_heartbeat(principal: Viewer, session: TenantTx, heartbeat_id: UUID) -> HeartbeatView:
    return await service.get_heartbeat(session, heartbeat_id=heartbeat_id)


@router.patch(
    "/heartbeats/{heartbeat_id}",
    response_model=HeartbeatView,
    summary="Change, pause or resume a heartbeat",
    responses=problem_responses(service.HeartbeatNotFound),
)
async def update_heartbeat(write: EngineerWrite, heartbeat_id: UUID, body: HeartbeatUpdate) -> Response:
    async def produce() -> HeartbeatView:
        changed = await service.update_heartbeat(
            write.session, heartbeat_id=heartbeat_id, wanted=body, actor=write.actor, now=write.now
        )
        await settle_soon(write.session, heartbeat_id=heartbeat_id)
        return changed

    return await write.answer(produce)


@router.delete(
    "/heartbeats/{heartbeat_id}",
    status_code=204,
    summary="Expect it no longer; its alert ends",
    responses=problem_responses(service.HeartbeatNotFound),
)
async def delete_heartbeat(write: EngineerWrite, heartbeat_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_heartbeat(write.session, heartbeat_id=heartbeat_id, actor=write.actor, now=write.now),
        status=204,
    )
