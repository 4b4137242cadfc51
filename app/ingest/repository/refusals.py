"""What was refused: examples beside the counts, a few for each source."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text

from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.ingest.models import SourceRefusalExampleRow
from app.ingest.schemas import RefusalExample

KEPT_OF_A_SOURCE = 20

_FORGET = text(
    "delete from source_refusal_examples e where tenant_id = :tenant_id and source_id = any(cast(:source_ids as uuid[]))"
    " and id not in (select k.id from source_refusal_examples k where k.tenant_id = e.tenant_id"
    " and k.source_id = e.source_id order by k.id desc limit :kept)"
)


async def keep_examples(session: TenantSession, examples: Sequence[RefusalExample]) -> None:
    """This will add examples and forget all but the newest of each source."""
    if not examples:
        return
    session.add_all(
        SourceRefusalExampleRow(tenant_id=session.tenant_id, id=new_id(), **vars(example)) for example in examples
    )
    await session.flush()
    source_ids = sorted({example.source_id for example in examples})
    values = {"tenant_id": session.tenant_id, "source_ids": source_ids, "kept": KEPT_OF_A_SOURCE}
    await session.execute(_FORGET, values)


async def list_examples(session: TenantSession, *, source_id: UUID) -> Sequence[SourceRefusalExampleRow]:
    """This will return the examples of a source, newest first."""
    statement = (
        select(SourceRefusalExampleRow)
        .where(SourceRefusalExampleRow.tenant_id == session.tenant_id, SourceRefusalExampleRow.source_id == source_id)
        .order_by(SourceRefusalExampleRow.id.desc())
        .limit(KEPT_OF_A_SOURCE)
    )
    return (await session.execute(statement)).scalars().all()
