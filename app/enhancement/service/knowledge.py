"""The tenant's documentation, each change of which is at once searchable."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.audit.service import record as audit
from app.core.actor import Actor
from app.core.errors import NotFound
from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.enhancement.models import KnowledgeEntryRow
from app.enhancement.repository import records
from app.enhancement.rules.evidence import SourceKind, Trust
from app.enhancement.schemas import KnowledgeEntryView
from app.enhancement.service.cases import forget_case, index_case


class KnowledgeEntryNotFound(NotFound):
    """No entry with that id in this tenant."""

    code = "enhancement.knowledge_not_found"
    title = "No such knowledge entry"


async def create_knowledge_entry(
    session: TenantSession,
    *,
    title: str,
    body: str,
    actor: Actor,
    now: datetime,
    url: str = "",
    owner: str = "",
    trust: Trust = Trust.TRUSTED,
) -> KnowledgeEntryView:
    """This will add an entry."""
    row = KnowledgeEntryRow(
        tenant_id=session.tenant_id,
        id=new_id(),
        title=title,
        body=body,
        url=url,
        owner=owner,
        trust=trust.value,
        version=1,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await _index(session, row)
    await _note(session, row, "knowledge.created", actor, now)
    return _view(row)


async def replace_knowledge_entry(
    session: TenantSession,
    *,
    entry_id: UUID,
    title: str,
    body: str,
    url: str,
    owner: str,
    trust: Trust,
    actor: Actor,
    now: datetime,
) -> KnowledgeEntryView:
    """This will replace an entry's whole content.

    Raises:
        KnowledgeEntryNotFound: No such entry.
    """
    row = await _get(session, entry_id)
    row.title, row.body, row.url, row.owner, row.trust = title, body, url, owner, trust.value
    row.version += 1
    row.updated_at = now
    await session.flush()
    await _index(session, row)
    await _note(session, row, "knowledge.changed", actor, now)
    return _view(row)


async def delete_knowledge_entry(session: TenantSession, *, entry_id: UUID, actor: Actor, now: datetime) -> None:
    """This will remove an entry from the documentation and from the index.

    Raises:
        KnowledgeEntryNotFound: No such entry.
    """
    row = await _get(session, entry_id)
    await forget_case(session, kind=SourceKind.KNOWLEDGE, ref=str(entry_id))
    await _note(session, row, "knowledge.deleted", actor, now)
    await session.delete(row)
    await session.flush()


async def get_knowledge_entry(session: TenantSession, *, entry_id: UUID) -> KnowledgeEntryView:
    """This will return one entry.

    Raises:
        KnowledgeEntryNotFound: No such entry.
    """
    return _view(await _get(session, entry_id))


async def list_knowledge_entries(
    session: TenantSession, *, before: UUID | None, limit: int
) -> list[KnowledgeEntryView]:
    """This will return entries, newest first."""
    return [_view(row) for row in await records.page_of_entries(session, before=before, limit=limit)]


async def _get(session: TenantSession, entry_id: UUID) -> KnowledgeEntryRow:
    row = await records.find_entry(session, entry_id)
    if row is None:
        raise KnowledgeEntryNotFound(f"There is no knowledge entry {entry_id}.")
    return row


async def _index(session: TenantSession, row: KnowledgeEntryRow) -> None:
    await index_case(
        session,
        kind=SourceKind.KNOWLEDGE,
        ref=str(row.id),
        title=row.title,
        body=row.body,
        url=row.url,
        trust=Trust(row.trust),
        occurred_at=row.updated_at,
    )


async def _note(session: TenantSession, row: KnowledgeEntryRow, action: str, actor: Actor, now: datetime) -> None:
    detail = {"title": row.title, "trust": row.trust, "owner": row.owner, "version": row.version}
    await audit(session, actor=actor, action=action, subject=f"knowledge:{row.id}", detail=detail, now=now)


def _view(row: KnowledgeEntryRow) -> KnowledgeEntryView:
    return KnowledgeEntryView(
        id=row.id,
        title=row.title,
        body=row.body,
        url=row.url,
        owner=row.owner,
        trust=Trust(row.trust),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
