"""``/v1/tokens`` and ``/v1/me``."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from app.auth import service
from app.auth.deps import Admin, AdminWrite, TenantTx, Viewer
from app.auth.schemas import CreatedTokenView, MeView, TokenRequest, TokenView
from app.http.pagination import CursorPage, PageParams
from app.http.problem import problem_responses
from app.settings import Settings

router = APIRouter(prefix="/v1", tags=["access"])


@router.get("/me", summary="Who this token is")
async def me(principal: Viewer) -> MeView:
    return MeView(tenant_id=principal.tenant_id, token_id=principal.token_id, name=principal.name, role=principal.role)


@router.post(
    "/tokens",
    status_code=201,
    response_model=CreatedTokenView,
    summary="Make a token; its text is shown this once",
    responses=problem_responses(service.TokenExpiryInPast),
)
async def create_token(write: AdminWrite, body: TokenRequest) -> Response:
    async def produce() -> CreatedTokenView:
        created = await service.create_token(
            write.session,
            pepper=service.pepper_of(write.resources.get(Settings)),
            name=body.name,
            role=body.role,
            expires_at=body.expires_at,
            actor=write.actor,
            now=write.now,
        )
        return CreatedTokenView(**TokenView.model_validate(created.row).model_dump(), token=created.text)

    # A remembered answer must not become a place where the token's text is stored.
    return await write.answer(produce, status=201, without=frozenset({"token"}))


@router.get("/tokens", summary="List tokens, newest first")
async def list_tokens(principal: Admin, session: TenantTx, page: PageParams) -> CursorPage[TokenView]:
    rows = await service.list_tokens(session, before=page.after_id, limit=page.limit + 1)
    return page.build([TokenView.model_validate(row) for row in rows], key=lambda view: view.id)


@router.post(
    "/tokens/{token_id}/revoke",
    response_model=TokenView,
    summary="End a token",
    responses=problem_responses(service.TokenNotFound, service.TokenAlreadyRevoked),
)
async def revoke_token(write: AdminWrite, token_id: UUID) -> Response:
    async def produce() -> TokenView:
        row = await service.revoke_token(write.session, token_id=token_id, actor=write.actor, now=write.now)
        return TokenView.model_validate(row)

    return await write.answer(produce)
