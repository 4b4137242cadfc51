"""``/v1/audit``: who did what (A4)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.audit import service
from app.audit.schemas import AuditEntryView
from app.auth.deps import Admin, TenantTx
from app.http.moment import Moment
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit", summary="The audit trail, newest first", responses=problem_responses(InvalidCursor))
async def list_audit(
    principal: Admin,
    session: TenantTx,
    page: PageParams,
    actor: Annotated[str | None, Query(max_length=100, description="The actor's id, a token's id for example.")] = None,
    action: Annotated[str | None, Query(max_length=100, description="Exact action, as incident.acknowledged.")] = None,
    since: Annotated[Moment | None, Query(description="Entries from this time on.")] = None,
) -> CursorPage[AuditEntryView]:
    rows = await service.list_entries(
        session, actor=actor, action=action, since=since, before_seq=page.after, limit=page.limit + 1
    )
    return page.build([AuditEntryView.model_validate(row) for row in rows], key=lambda view: view.seq)
