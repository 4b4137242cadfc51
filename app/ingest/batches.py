"""Storing a batch in one transaction, so that each request learns its own fate: new, a duplicate, or a conflict."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from app.core.failpoints import failpoint
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.ingest.repository.intake import store
from app.ingest.schemas import Intake, Stored
from app.settings.ingest import IngestSettings

DRAIN_MAX_ATTEMPTS = 10


async def write_batch(
    database: Database, settings: IngestSettings, tenant_id: TenantId, batch: Sequence[Intake]
) -> list[Stored]:
    """This will store and commit the batch and return one result per entry, in order."""
    async with tenant_session(database, tenant_id) as session:
        await failpoint("ingest.before_insert")
        stored = await store_batch(session, batch, settings=settings)
        await failpoint("ingest.after_insert")
    await failpoint("ingest.after_commit")
    return stored


async def store_batch(session: TenantSession, batch: Sequence[Intake], *, settings: IngestSettings) -> list[Stored]:
    """This will store the batch and return one result per entry, in order.

    The same request twice in one batch is stored once. A known key with another body is stored beside the first and
    flagged (A22); its own key is made of both, so that its retries are known again.
    """
    results: list[Stored | None] = [None] * len(batch)
    waiting = dict(enumerate(batch))
    while waiting:
        held = await _store_distinct(session, list(waiting.values()), settings)
        conflicting: dict[int, Intake] = {}
        for index, intake in waiting.items():
            receipt_id, body_sha256 = held[intake.source_id, intake.replay_key]
            if body_sha256 == intake.body_sha256:
                results[index] = Stored(receipt_id, receipt_id != intake.id, intake.conflicts_with)
            else:
                conflicting[index] = _beside(intake, receipt_id)
        waiting = conflicting
    return [result for result in results if result is not None]


async def _store_distinct(
    session: TenantSession, batch: Sequence[Intake], settings: IngestSettings
) -> dict[tuple[UUID, bytes], tuple[UUID, bytes]]:
    first: dict[tuple[UUID, bytes], Intake] = {}
    for intake in batch:
        first.setdefault((intake.source_id, intake.replay_key), intake)
    now = max(intake.received_at for intake in batch)
    return await store(session, list(first.values()), now=now, shards=settings.shards, max_attempts=DRAIN_MAX_ATTEMPTS)


def _beside(intake: Intake, first: UUID) -> Intake:
    return intake._replace(
        replay_key=hashlib.sha256(intake.replay_key + intake.body_sha256).digest(), conflicts_with=first
    )
