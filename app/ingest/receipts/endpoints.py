"""``/v1/receipts`` and ``/v1/deliveries``: what became of what came in."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.deps import Engineer, EngineerWrite, RoleTooLow, TenantTx, Viewer
from app.auth.rules import Role
from app.db.jobs.queue import enqueue
from app.http.clock import Now
from app.http.moment import Moment
from app.http.pagination import CursorPage, InvalidCursor, PageParams
from app.http.problem import problem_responses
from app.incidents.schemas import PlainText
from app.ingest import service
from app.ingest.jobs import DrainIntake
from app.ingest.receipts.schemas import ReceiptEffects
from app.ingest.receipts.service import follow
from app.ingest.rules.redaction import redact_body
from app.ingest.schemas import DeliveryState, ReceiptDetail, ReceiptView

router = APIRouter(prefix="/v1", tags=["deliveries"])

# A stranger's bytes under our origin: never rendered, never run, never kept by anything in between.
_AS_A_FILE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "no-store",
}
_BODY_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The body, as a file to be saved.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get(
    "/receipts/{receipt_id}",
    summary="What became of a delivery",
    responses=problem_responses(service.DeliveryNotFound),
)
async def get_receipt(principal: Viewer, session: TenantTx, receipt_id: UUID) -> ReceiptDetail:
    return await service.get_receipt(session, delivery_id=receipt_id)


@router.get(
    "/receipts/{receipt_id}/effects",
    summary="Follow a delivery to its alerts, incidents, jobs and effects, or see why there are none",
    responses=problem_responses(service.DeliveryNotFound),
)
async def follow_receipt(principal: Viewer, session: TenantTx, receipt_id: UUID) -> ReceiptEffects:
    return await follow(session, delivery_id=receipt_id)


@router.get("/deliveries", summary="List deliveries, newest first", responses=problem_responses(InvalidCursor))
async def list_deliveries(
    principal: Viewer,
    session: TenantTx,
    page: PageParams,
    state: Annotated[
        list[DeliveryState] | None,
        Query(max_length=10, description="One or several states; rejected and failed are those that came to nothing."),
    ] = None,
    source_id: Annotated[UUID | None, Query(description="Of one source.")] = None,
    reason: Annotated[PlainText | None, Query(max_length=100, description="Code of why it came to nothing.")] = None,
    since: Annotated[Moment | None, Query(description="Came in at or after.")] = None,
    until: Annotated[Moment | None, Query(description="Came in before.")] = None,
    external_id: Annotated[
        PlainText | None,
        Query(max_length=500, description="The sender's own id; with it, only source_id narrows the search further."),
    ] = None,
) -> CursorPage[ReceiptView]:
    if external_id is not None:
        found = await service.find_receipts(
            session, external_id=external_id, source_id=source_id, before=page.after_id, limit=page.limit + 1
        )
    else:
        wanted = service.DeliveryFilter(
            states=tuple(state or ()), source_id=source_id, reason=reason, since=since, until=until
        )
        found = await service.list_receipts(session, wanted=wanted, before=page.after_id, limit=page.limit + 1)
    return page.build(found, key=lambda receipt: receipt.id)


@router.get(
    "/deliveries/{delivery_id}/body",
    summary="Read a delivery's raw body, credentials hidden; each look is written down",
    response_class=Response,
    responses={**problem_responses(service.DeliveryNotFound), **_BODY_ANSWER},
)
async def read_body(
    principal: Engineer,
    session: TenantTx,
    now: Now,
    delivery_id: UUID,
    redacted: Annotated[bool, Query(description="False shows every byte, to admins only.")] = True,
) -> Response:
    if not redacted and not principal.role.includes(Role.ADMIN):
        raise RoleTooLow(f"an unredacted body needs the role {Role.ADMIN}; the token has {principal.role}")
    body = await service.read_body(session, delivery_id=delivery_id, redacted=redacted, actor=principal.actor, now=now)
    headers = {**_AS_A_FILE, "content-disposition": f'attachment; filename="{delivery_id}.txt"'}
    if redacted:
        shown = await asyncio.to_thread(redact_body, body)
        body = shown.text.encode("utf-8", "backslashreplace")
        headers["x-body-cut"] = "true" if shown.cut else "false"
    return Response(body, media_type="text/plain; charset=utf-8", headers=headers)


@router.post(
    "/deliveries/{delivery_id}/replay",
    response_model=ReceiptDetail,
    summary="Try a rejected or failed delivery again",
    responses=problem_responses(service.DeliveryNotFound, service.DeliveryNotReplayable),
)
async def replay_delivery(write: EngineerWrite, delivery_id: UUID) -> Response:
    async def produce() -> ReceiptDetail:
        shard = await service.accept_again(write.session, delivery_id=delivery_id, actor=write.actor, now=write.now)
        job = DrainIntake(shard=shard)
        await enqueue(write.session, job, unique_key=job.key)
        return await service.get_receipt(write.session, delivery_id=delivery_id)

    return await write.answer(produce)
