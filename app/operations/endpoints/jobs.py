"""``/v1/jobs`` and the pausing of processing (C21)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import AdminWrite, EngineerWrite, TenantTx, Viewer
from app.core.jobs import JobState, Queue
from app.db.tenancy import TenantSession
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.operations import service
from app.operations.schemas import JobDetail, JobView, PauseList, PauseRequest, PauseView

router = APIRouter(prefix="/v1", tags=["operations"])


@router.get("/jobs", summary="List jobs, newest first; state=dead lists the dead letters")
async def list_jobs(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    state: Annotated[list[JobState] | None, Query(description="One or several states.")] = None,
    kind: Annotated[str | None, Query(max_length=100, description="Exact kind.")] = None,
    queue: Annotated[Queue | None, Query(description="One queue.")] = None,
) -> CursorPage[JobView]:
    rows = await service.list_jobs(
        session, states=state or [], kind=kind, queue=queue, before=page.after_id, limit=page.limit + 1
    )
    return page.build([JobView.model_validate(row) for row in rows], key=lambda view: view.id)


@router.get("/jobs/{job_id}", summary="Inspect one job", responses=problem_responses(service.JobNotFound))
async def get_job(principal: Viewer, session: TenantTx, job_id: UUID) -> JobDetail:
    return JobDetail.model_validate(await service.get_job(session, job_id=job_id))


@router.post(
    "/jobs/{job_id}/retry",
    response_model=JobDetail,
    summary="Put a dead letter back to work",
    responses=problem_responses(service.JobNotFound, service.JobNotDead, service.JobSuperseded),
)
async def retry_job(write: EngineerWrite, job_id: UUID) -> Response:
    async def produce() -> JobDetail:
        row = await service.retry_job(write.session, job_id=job_id, actor=write.actor, now=write.now)
        return JobDetail.model_validate(row)

    return await write.answer(produce)


@router.post(
    "/jobs/{job_id}/discard",
    response_model=JobDetail,
    summary="Give a dead letter up",
    responses=problem_responses(service.JobNotFound, service.JobNotDead),
)
async def discard_job(write: EngineerWrite, job_id: UUID) -> Response:
    async def produce() -> JobDetail:
        row = await service.discard_job(write.session, job_id=job_id, actor=write.actor, now=write.now)
        return JobDetail.model_validate(row)

    return await write.answer(produce)


@router.post("/admin/pause-processing", response_model=PauseList, summary="Stop handing out this tenant's jobs")
async def pause_processing(write: AdminWrite, body: PauseRequest | None = None) -> Response:
    wanted = body or PauseRequest()

    async def produce() -> PauseList:
        await service.pause(write.session, queue=wanted.queue, reason=wanted.reason, actor=write.actor, now=write.now)
        return await _pauses(write.session)

    return await write.answer(produce)


@router.post("/admin/resume-processing", response_model=PauseList, summary="Hand out this tenant's jobs again")
async def resume_processing(write: AdminWrite, body: PauseRequest | None = None) -> Response:
    wanted = body or PauseRequest()

    async def produce() -> PauseList:
        await service.resume(write.session, queue=wanted.queue, actor=write.actor, now=write.now)
        return await _pauses(write.session)

    return await write.answer(produce)


async def _pauses(session: TenantSession) -> PauseList:
    return PauseList(items=[PauseView.model_validate(row) for row in await service.list_pauses(session)])
