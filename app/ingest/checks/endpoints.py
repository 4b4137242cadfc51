"""``/v1/checks``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import EngineerWrite, TenantTx, Viewer
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.ingest.checks import service
from app.ingest.checks.jobs import ask_soon
from app.ingest.checks.schemas import CheckCreate, CheckUpdate, CheckView
from app.ingest.service import SourceNotFound
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["checks"])


@router.post(
    "/checks",
    status_code=201,
    response_model=CheckView,
    summary="Ask an address again and again; wrong answers open an alert",
    responses=problem_responses(SourceNotFound, service.CheckNameTaken, service.TooManyChecks),
)
async def create_check(write: EngineerWrite, body: CheckCreate) -> Response:
    most = write.resources.get(Settings).ingest.checks_max

    async def produce() -> CheckView:
        row = await service.create_check(write.session, body, most=most, actor=write.actor, now=write.now)
        await ask_soon(write.session, row)
        return CheckView.model_validate(row)

    return await write.answer(produce, status=201)


@router.get("/checks", summary="List checks, newest first")
async def list_checks(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    source_id: Annotated[UUID | None, Query(description="Of one source.")] = None,
) -> CursorPage[CheckView]:
    rows = await service.list_checks(session, source_id=source_id, before=page.after_id, limit=page.limit + 1)
    return page.build([CheckView.model_validate(row) for row in rows], key=lambda check: check.id)


@router.get("/checks/{check_id}", summary="One check", responses=problem_responses(service.CheckNotFound))
async def get_check(principal: Viewer, session: TenantTx, check_id: UUID) -> CheckView:
    return CheckView.model_validate(await service.get_check(session, check_id=check_id))


@router.patch(
    "/checks/{check_id}",
    response_model=CheckView,
    summary="Change, pause or resume a check; it is asked at once",
    responses=problem_responses(service.CheckNotFound),
)
async def update_check(write: EngineerWrite, check_id: UUID, body: CheckUpdate) -> Response:
    async def produce() -> CheckView:
        row = await service.update_check(
            write.session, check_id=check_id, wanted=body, actor=write.actor, now=write.now
        )
        await ask_soon(write.session, row)
        return CheckView.model_validate(row)

    return await write.answer(produce)


@router.delete(
    "/checks/{check_id}",
    status_code=204,
    summary="Ask no more; its alert ends",
    responses=problem_responses(service.CheckNotFound),
)
async def delete_check(write: EngineerWrite, check_id: UUID) -> Response:
    return await write.answer(
        lambda: service.delete_check(write.session, check_id=check_id, actor=write.actor, now=write.now), status=204
    )
