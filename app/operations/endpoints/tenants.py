"""``/v1/admin/tenants``: for platform operators, who see no tenant's data."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.auth.deps import Operator
from app.auth.rules import Role
from app.auth.service import create_token, pepper_of
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_session
from app.db.tenancy import TenantSession, tenant_session
from app.http.clock import Now
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.operations.deps import OperatorWrite
from app.settings import Settings
from app.tenants import service
from app.tenants.schemas import CreatedTenantView, StateRequest, TenantRequest, TenantView

router = APIRouter(prefix="/v1/admin/tenants", tags=["platform"])


@router.post(
    "",
    status_code=201,
    summary="Make a tenant and its first admin token",
    responses=problem_responses(service.SlugTaken, service.SlugInvalid),
)
async def create_tenant(operator: Operator, body: TenantRequest, now: Now, request: Request) -> CreatedTenantView:
    # No Idempotency-Key: keys are rows of a tenant, and there is none yet. The slug says that a repeat is one.
    resources: Resources = request.app.state.resources
    async with tenant_session(resources.get(Database), TenantId(new_id())) as session:
        row = await service.create_tenant(session, slug=body.slug, name=body.name, actor=operator.actor, now=now)
        created = await create_token(
            session,
            pepper=pepper_of(resources.get(Settings)),
            name="first admin",
            role=Role.ADMIN,
            expires_at=None,
            actor=operator.actor,
            now=now,
        )
    return CreatedTenantView(**TenantView.model_validate(row).model_dump(), admin_token=created.text)


@router.get("", summary="List tenants")
async def list_tenants(operator: Operator, page: PageParams, request: Request) -> CursorPage[TenantView]:
    async with system_session(request.app.state.resources.get(Database), reason="operator.list_tenants") as session:
        rows = await service.list_tenants(session, after=page.after_id, limit=page.limit + 1)
    return page.build([TenantView.model_validate(row) for row in rows], key=lambda view: view.id)


@router.post(
    "/{tenant_id}/isolate",
    response_model=TenantView,
    summary="Cut a tenant off and keep its rows as evidence",
    responses=problem_responses(service.TenantNotFound),
)
async def isolate_tenant(write: OperatorWrite, tenant_id: UUID, body: StateRequest) -> Response:
    async def produce(session: TenantSession) -> TenantView:
        row = await service.isolate_tenant(session, reason=body.reason, actor=write.actor, now=write.now)
        return TenantView.model_validate(row)

    return await write.answer(tenant_id, produce)


@router.post(
    "/{tenant_id}/restore",
    response_model=TenantView,
    summary="Let an isolated tenant back in",
    responses=problem_responses(service.TenantNotFound),
)
async def restore_tenant(write: OperatorWrite, tenant_id: UUID, body: StateRequest) -> Response:
    async def produce(session: TenantSession) -> TenantView:
        row = await service.restore_tenant(session, reason=body.reason, actor=write.actor, now=write.now)
        return TenantView.model_validate(row)

    return await write.answer(tenant_id, produce)
