"""``/v1/sources/{id}/limits``; a tenant's own limits are read here and set by operators."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.auth.deps import EngineerWrite, TenantTx, Viewer
from app.core.resources import Resources
from app.http.problem import problem_responses
from app.ingest.limits import service
from app.ingest.limits.schemas import SourceLimits, SourceLimitsView, TenantLimitsView
from app.ingest.service import SourceNotFound
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["limits"])


@router.get("/limits", summary="What this tenant may send")
async def get_limits(principal: Viewer, session: TenantTx, request: Request) -> TenantLimitsView:
    return await service.get_tenant_limits(session, settings=_settings(request))


@router.get(
    "/sources/{source_id}/limits",
    summary="What a source may send, and what counts as a storm of it",
    responses=problem_responses(SourceNotFound),
)
async def get_source_limits(
    principal: Viewer, session: TenantTx, source_id: UUID, request: Request
) -> SourceLimitsView:
    return await service.get_source_limits(session, source_id=source_id, settings=_settings(request))


@router.put(
    "/sources/{source_id}/limits",
    response_model=SourceLimitsView,
    summary="Lower what a source may send; a limit that is left out is the default again",
    responses=problem_responses(SourceNotFound, service.LimitTooLoose),
)
async def set_source_limits(write: EngineerWrite, source_id: UUID, body: SourceLimits) -> Response:
    return await write.answer(
        lambda: service.set_source_limits(
            write.session,
            source_id=source_id,
            limits=body,
            settings=write.resources.get(Settings),
            actor=write.actor,
            now=write.now,
        )
    )


def _settings(request: Request) -> Settings:
    resources: Resources = request.app.state.resources
    return resources.get(Settings)
