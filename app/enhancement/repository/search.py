"""The search index: documents, their words, and the three ways of ranking them.

All predicates are equality or range on the leading columns of an index, so they stay index scans under row level
security. Every read is bounded: a tenant with a million cases waits no longer than one with a thousand. Of a word that
very many documents have, only the newest of them are looked at; ids begin with their time, so "newest" is the end of an
index, and that index holds all that ranks them, so that it does not matter how far apart the rows lie. Trigram
similarity, which has no index here, looks at the newest titles and at what the words found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.enhancement.models import CaseDocumentRow
from app.enhancement.repository import search_statements as statements


@dataclass(frozen=True)
class IndexSize:
    """How many documents of a kind there are, up to ``DOCUMENTS_COUNTED``, and their mean length in words.

    Attributes:
        horizon: Documents from this id on are the newest ``NEWEST``; the nil id where there are fewer.
    """

    documents: int
    words: float
    horizon: UUID


@dataclass(frozen=True)
class TermCount:
    """How many documents have a word, up to ``POSTINGS_READ``, and whether most documents have it."""

    documents: int
    common: bool


@dataclass(frozen=True)
class TermHit:
    """A document found by words, with those it shares, rarest first."""

    document_id: UUID
    terms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NewDocument:
    """What goes into the index; ``facts`` are exact matches, such as addresses and codes."""

    kind: str
    ref: str
    title: str
    body: str
    resolution: str
    url: str
    trust: str
    signature_hash: str
    facts: Sequence[str]
    occurred_at: datetime


async def upsert_document(session: TenantSession, document: NewDocument) -> UUID:
    """This will store the document and replace its words."""
    values = {
        "kind": document.kind,
        "ref": document.ref,
        "title": document.title,
        "body": document.body,
        "resolution": document.resolution,
        "url": document.url,
        "trust": document.trust,
        "signature_hash": document.signature_hash,
        "occurred_at": document.occurred_at,
    }
    statement = (
        insert(CaseDocumentRow)
        .values(tenant_id=session.tenant_id, id=new_id(), **values)
        .on_conflict_do_update(index_elements=["tenant_id", "kind", "ref"], set_=values)
        .returning(CaseDocumentRow.id)
    )
    document_id: UUID = (await session.execute(statement)).scalar_one()
    ids = {"tenant_id": session.tenant_id, "document_id": document_id}
    await session.execute(
        text("delete from case_terms where tenant_id = :tenant_id and document_id = :document_id"), ids
    )
    await session.execute(
        statements.INSERT_TERMS,
        ids
        | {
            "kind": document.kind,
            "title": document.title,
            "rest": f"{document.resolution}\n{document.body}",
            "facts": sorted({f"={fact}"[:200] for fact in document.facts}),
        },
    )
    return document_id


async def delete_document(session: TenantSession, *, kind: str, ref: str) -> None:
    """This will forget a document; its words go with it."""
    await session.execute(
        delete(CaseDocumentRow).where(
            CaseDocumentRow.tenant_id == session.tenant_id, CaseDocumentRow.kind == kind, CaseDocumentRow.ref == ref
        )
    )


async def measure_index(session: TenantSession, *, kind: str) -> IndexSize:
    """This will return the number of documents and their mean length."""
    row = (await session.execute(statements.SIZE, {"tenant_id": session.tenant_id, "kind": kind})).one()
    return IndexSize(row.documents, row.words, row.horizon)


async def count_terms(
    session: TenantSession, *, kind: str, title: str, body: str, facts: Sequence[str], horizon: UUID
) -> dict[str, TermCount]:
    """This will return the words and facts of a ticket with what is known of their frequency."""
    parameters = {
        "tenant_id": session.tenant_id,
        "kind": kind,
        "title": title,
        "body": body,
        "facts": [f"={fact}"[:200] for fact in facts],
        "horizon": horizon,
    }
    found = await session.execute(statements.COUNT_TERMS, parameters)
    return {row.term: TermCount(row.documents, common=row.newest >= statements.POSTINGS_READ) for row in found}


async def rank_by_terms(
    session: TenantSession,
    *,
    kind: str,
    idfs: Mapping[str, float],
    mean_words: float,
    exclude: Sequence[str],
    limit: int,
) -> list[TermHit]:
    """This will return the documents with any of the terms, by BM25."""
    if not idfs:
        return []
    parameters = {
        "tenant_id": session.tenant_id,
        "kind": kind,
        "terms": list(idfs),
        "idfs": list(idfs.values()),
        "average": max(mean_words, 1.0),
        "exclude": list(exclude),
        "limit": limit,
    }
    return [TermHit(row.document_id, tuple(row.terms)) for row in await session.execute(statements.BM25, parameters)]


async def rank_by_title(
    session: TenantSession,
    *,
    kind: str,
    title: str,
    exclude: Sequence[str],
    window: int,
    among: Sequence[UUID],
    limit: int,
) -> dict[UUID, float]:
    """This will return documents whose titles look alike, with how much, best first.

    Looked at are the newest ``window`` of the kind and those in ``among``, which other searches found.
    """
    parameters = {
        "tenant_id": session.tenant_id,
        "kind": kind,
        "title": title,
        "exclude": list(exclude),
        "window": window,
        "among": list(among),
        "limit": limit,
    }
    return {row.id: row.likeness for row in await session.execute(statements.TITLES, parameters)}


async def find_by_signature(
    session: TenantSession, *, kind: str, signature_hash: str, exclude: Sequence[str], limit: int
) -> list[UUID]:
    """This will return the newest documents with the same error signature."""
    if not signature_hash:
        return []
    statement = (
        select(CaseDocumentRow.id)
        .where(
            CaseDocumentRow.tenant_id == session.tenant_id,
            CaseDocumentRow.signature_hash == signature_hash,
            CaseDocumentRow.kind == kind,
            CaseDocumentRow.ref.not_in(list(exclude)),
        )
        .order_by(CaseDocumentRow.occurred_at.desc(), CaseDocumentRow.id)
        .limit(limit)
    )
    return list((await session.execute(statement)).scalars())


async def load_documents(session: TenantSession, ids: Sequence[UUID]) -> dict[UUID, CaseDocumentRow]:
    """This will read the documents by id."""
    statement = select(CaseDocumentRow).where(
        CaseDocumentRow.tenant_id == session.tenant_id, CaseDocumentRow.id.in_(ids)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}
