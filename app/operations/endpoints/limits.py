"""``/v1/admin/tenants/{id}/limits``: what operators let a tenant send."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.auth.deps import Operator
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.http.problem import problem_responses
from app.ingest.limits import service
from app.ingest.limits.schemas import TenantLimits, TenantLimitsView
from app.operations.deps import OperatorWrite
from app.settings import Settings
from app.tenants.service import TenantNotFound

router = APIRouter(prefix="/v1/admin/tenants", tags=["platform"])


@router.get("/{tenant_id}/limits", summary="What a tenant may send", responses=problem_responses(TenantNotFound))
async def get_tenant_limits(operator: Operator, tenant_id: UUID, request: Request) -> TenantLimitsView:
    resources: Resources = request.app.state.resources
    async with tenant_session(resources.get(Database), TenantId(tenant_id)) as session:
        return await service.get_tenant_limits(session, settings=resources.get(Settings))


@router.put(
    "/{tenant_id}/limits",
    response_model=TenantLimitsView,
    summary="Set what a tenant may send; a limit that is left out is the default again",
    responses=problem_responses(TenantNotFound),
)
async def set_tenant_limits(write: OperatorWrite, tenant_id: UUID, body: TenantLimits) -> Response:
    settings = write.resources.get(Settings)

    async def produce(session: TenantSession) -> TenantLimitsView:
        return await service.set_tenant_limits(
            session, limits=body, settings=settings, actor=write.actor, now=write.now
        )

    return await write.answer(tenant_id, produce)
