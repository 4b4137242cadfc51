"""``/v1/replays``."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from app.auth.deps import EngineerWrite, TenantTx, Viewer
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses
from app.ingest.replays import service
from app.ingest.replays.jobs import drive
from app.ingest.replays.schemas import ReplayRequest, ReplayView
from app.ingest.service import SourceNotFound

router = APIRouter(prefix="/v1/replays", tags=["deliveries"])


@router.post(
    "",
    status_code=202,
    response_model=ReplayView,
    summary="Try deliveries that came to nothing again, many by one filter",
    responses=problem_responses(SourceNotFound, service.ReplayRunning),
)
async def start_replay(write: EngineerWrite, body: ReplayRequest) -> Response:
    async def produce() -> ReplayView:
        replay = await service.start_replay(write.session, request=body, actor=write.actor, now=write.now)
        await drive(write.session, replay_id=replay.id)
        return replay

    return await write.answer(produce, status=202)


@router.get("", summary="List replays, newest first", responses=problem_responses(InvalidCursor))
async def list_replays(principal: Viewer, session: TenantTx, page: PageParams) -> CursorPage[ReplayView]:
    found = await service.list_replays(session, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda replay: str(replay.id))


@router.get("/{replay_id}", summary="How far a replay is", responses=problem_responses(service.ReplayNotFound))
async def get_replay(principal: Viewer, session: TenantTx, replay_id: UUID) -> ReplayView:
    return await service.get_replay(session, replay_id=replay_id)


@router.post(
    "/{replay_id}/cancel",
    response_model=ReplayView,
    summary="Stop a replay; what the intake has already is worked through",
    responses=problem_responses(service.ReplayNotFound, service.ReplayEnded),
)
async def cancel_replay(write: EngineerWrite, replay_id: UUID) -> Response:
    return await write.answer(
        lambda: service.cancel_replay(write.session, replay_id=replay_id, actor=write.actor, now=write.now)
    )
