"""``/v1/tokens`` and ``/v1/me``."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request

from app.auth import service
from app.auth.deps import Admin, TenantTx, Viewer
from app.auth.schemas import CreatedTokenView, MeView, TokenRequest, TokenView
from app.http.clock import Now
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
    summary="Make a token; its text is shown this once",
    responses=problem_responses(service.TokenExpiryInPast),
)
async def create_token(
    principal: Admin, session: TenantTx, body: TokenRequest, now: Now, request: Request
) -> CreatedTokenView:
    # No Idempotency-Key here: remembering the answer would store the token's text.
    created = await service.create_token(
        session,
        pepper=service.pepper_of(request.app.state.resources.get(Settings)),
        name=body.name,
        role=body.role,
        expires_at=body.expires_at,
        actor=principal.actor,
        now=now,
    )
    view = TokenView.model_validate(created.row)
    return CreatedTokenView(**view.model_dump(), token=created.text)


@router.get("/tokens", summary="List tokens, newest first")
async def list_tokens(principal: Admin, session: TenantTx, page: PageParams) -> CursorPage[TokenView]:
    rows = await service.list_tokens(session, before=page.after_id, limit=page.limit + 1)
    return page.build([TokenView.model_validate(row) for row in rows], key=lambda view: view.id)


@router.post(
    "/tokens/{token_id}/revoke",
    summary="End a token",
    responses=problem_responses(service.TokenNotFound, service.TokenAlreadyRevoked),
)
async def revoke_token(principal: Admin, session: TenantTx, token_id: UUID, now: Now) -> TokenView:
    row = await service.revoke_token(session, token_id=token_id, actor=principal.actor, now=now)
    return TokenView.model_validate(row)
