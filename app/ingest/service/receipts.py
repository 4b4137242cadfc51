"""What became of deliveries, and trying one again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func

from app.audit.service import record
from app.core.actor import Actor
from app.core.errors import Conflict, NotFound
from app.db.jobs.reading import find_pauses
from app.db.tenancy import TenantSession
from app.ingest.models import DeliveryRow
from app.ingest.repository import deliveries as repository
from app.ingest.repository.deliveries import DeliveryFilter
from app.ingest.schemas import (
    DeliveryState,
    ReceiptDetail,
    ReceiptView,
)
from app.ingest.service.stages import stages_of

_REPLAYABLE = frozenset({DeliveryState.REJECTED.value, DeliveryState.FAILED.value})
# Deliveries that are looked through for a sender's own id that is not remembered any more.
EXTERNAL_WITHIN = 5_000


class DeliveryNotFound(NotFound):
    """No delivery of this id for this tenant."""

    code = "delivery.not_found"
    title = "No such delivery"


class DeliveryNotReplayable(Conflict):
    """Only a delivery that came to nothing can be tried again.

    What was processed has its alerts. Under the settings that it was read with it would say nothing new, and under others
    it would page again, under another identity, for what somebody has seen to already.
    """

    code = "delivery.not_replayable"
    title = "The delivery cannot be tried again"
    hint = (
        "Only deliveries in state rejected or failed can be tried again. What other settings would make of a processed one"
        " is shown by time travel ('tocsin sources try')."
    )


def receipt(row: DeliveryRow) -> ReceiptView:
    """This will return the receipt in short."""
    return ReceiptView.model_validate(row).model_copy(update={"trace_id": _trace_id(row.traceparent)})


async def get_receipt(session: TenantSession, *, delivery_id: UUID) -> ReceiptDetail:
    """This will return what became of a delivery, whole.

    Raises:
        DeliveryNotFound: Not there, or another tenant's.
    """
    row = await _get(session, delivery_id)
    duplicates = await repository.count_duplicates(session, delivery=row)
    pauses = await find_pauses(session) if row.state == DeliveryState.ACCEPTED.value else {}
    result = row.result or {}
    return ReceiptDetail(
        **receipt(row).model_dump(),
        stages=stages_of(row, duplicates=duplicates, pauses=pauses),
        duplicates=duplicates,
        headers=row.headers,
        job_id=row.job_id,
        outcomes=result.get("outcomes", {}),
        alerts=result.get("alerts", []),
        incidents=result.get("incidents", []),
        warnings=result.get("warnings", []),
    )


async def list_receipts(
    session: TenantSession, *, wanted: DeliveryFilter, before: UUID | None = None, limit: int = 50
) -> list[ReceiptView]:
    """This will return receipts in short, newest first."""
    rows = await repository.list_deliveries(session, wanted=wanted, before=before, limit=limit)
    return [receipt(row) for row in rows]


async def find_receipts(
    session: TenantSession, *, external_id: str, source_id: UUID | None = None, before: UUID | None = None, limit: int
) -> list[ReceiptView]:
    """This will return the receipts of the deliveries that their senders gave this id, newest first.

    Found for certain while the id is remembered against retries, and beyond that among the newest deliveries.
    """
    rows = await repository.find_by_external_id(
        session, external_id=external_id, source_id=source_id, before=before, within=EXTERNAL_WITHIN, limit=limit
    )
    return [receipt(row) for row in rows]


async def read_body(session: TenantSession, *, delivery_id: UUID, redacted: bool, actor: Actor, now: datetime) -> bytes:
    """This will return the raw body and write down who looked at it.

    Raises:
        DeliveryNotFound: Not there, or another tenant's.
    """
    body = await repository.load_body(session, delivery_id=delivery_id)
    if body is None:
        raise DeliveryNotFound(delivery_id=str(delivery_id))
    detail = {"redacted": redacted, "size_bytes": len(body)}
    subject = f"delivery:{delivery_id}"
    await record(session, actor=actor, action="delivery.body_read", subject=subject, detail=detail, now=now)
    return body


async def accept_again(session: TenantSession, *, delivery_id: UUID, actor: Actor, now: datetime) -> int:
    """This will put a rejected or failed delivery back and return its shard; the caller enqueues the job.

    Raises:
        DeliveryNotFound: Not there, or another tenant's.
        DeliveryNotReplayable: It was processed, or still waits.
    """
    row = await _get(session, delivery_id, lock=True)
    if row.state not in _REPLAYABLE:
        raise DeliveryNotReplayable(f"the delivery is {row.state}")
    detail = {"was": row.state, "reason": row.reason}
    row.state, row.reason, row.detail = DeliveryState.ACCEPTED.value, "", ""
    row.attempts, row.result, row.processed_at, row.job_id = 0, None, None, None
    # It queues up behind those that wait, and does not count as waiting since the day it came in.
    row.stored_at = func.now()
    await session.flush()
    await record(session, actor=actor, action="delivery.replayed", subject=f"delivery:{row.id}", detail=detail, now=now)
    return row.shard


async def _get(session: TenantSession, delivery_id: UUID, *, lock: bool = False) -> DeliveryRow:
    row = await repository.find_delivery(session, delivery_id=delivery_id, lock=lock)
    if row is None:
        raise DeliveryNotFound(delivery_id=str(delivery_id))
    return row


def _trace_id(traceparent: str | None) -> str | None:
    return traceparent.split("-")[1] if traceparent is not None and traceparent.count("-") == 3 else None
