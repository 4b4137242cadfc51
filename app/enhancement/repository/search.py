"""The search index: documents, their words, and the three ways of ranking them.

All predicates are equality or range on the leading columns of an index, so they stay index scans under row level
security. The one that cannot be, trigram similarity, looks at a bounded number of the newest titles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Double, Text, Uuid, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.ids import new_id
from app.db.tenancy import TenantSession
from app.enhancement.models import CaseDocumentRow

# The configuration that index and query share; changing it needs the index to be rebuilt.
_CONFIG = "english"
_USABLE = "length(u.lexeme) between 2 and 60 and u.lexeme !~ '^[-+0-9.,:/%]+$'"

_INSERT_TERMS = text(
    f"""
    with parsed as (
        select u.lexeme as term, least(30, (select sum(case w when 'A' then 2 else 1 end) from unnest(u.weights) w)) as weight
        from unnest(
            setweight(to_tsvector('{_CONFIG}', :title), 'A') || setweight(to_tsvector('{_CONFIG}', :rest), 'C')
        ) u where {_USABLE}
    )
    insert into case_terms (tenant_id, kind, term, document_id, weight)
    select :tenant_id, :kind, term, :document_id, coalesce(weight, 1) from parsed
    union all
    select :tenant_id, :kind, f, :document_id, 1 from unnest(:facts) f
    """  # noqa: S608 - constants of this module only
).bindparams(
    bindparam("facts", type_=ARRAY(Text)), bindparam("tenant_id", type_=Uuid), bindparam("document_id", type_=Uuid)
)

_COUNT_WORDS = text(
    "update case_documents set words = (select coalesce(sum(weight), 0) from case_terms t where t.tenant_id = :tenant_id"
    " and t.document_id = :document_id) where tenant_id = :tenant_id and id = :document_id"
)

_COUNT_TERMS = text(
    f"""
    with wanted as (
        select u.lexeme as term from unnest(to_tsvector('{_CONFIG}', :text)) u where {_USABLE}
        union select f from unnest(:facts) f
    )
    select w.term, count(t.document_id) as documents
    from wanted w left join case_terms t on t.tenant_id = :tenant_id and t.kind = :kind and t.term = w.term
    group by w.term
    """  # noqa: S608 - constants of this module only
).bindparams(bindparam("facts", type_=ARRAY(Text)), bindparam("tenant_id", type_=Uuid))

_SIZE = text(
    "select count(*) as documents, coalesce(avg(words), 0)::float8 as words from case_documents"
    " where tenant_id = :tenant_id and kind = :kind"
).bindparams(bindparam("tenant_id", type_=Uuid))

# BM25 with k1 = 1.2 and b = 0.75. Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009.
_BM25 = text(
    """
    select t.document_id, sum(q.idf * t.weight * 2.2 / (t.weight + 1.2 * (0.25 + 0.75 * d.words / :average))) as score,
        array_agg(t.term order by q.idf desc) as terms
    from unnest(:terms, :idfs) as q(term, idf)
    join case_terms t on t.tenant_id = :tenant_id and t.kind = :kind and t.term = q.term
    join case_documents d on d.tenant_id = t.tenant_id and d.id = t.document_id
    where d.ref <> all(:exclude)
    group by t.document_id order by score desc, t.document_id limit :limit
    """
).bindparams(
    bindparam("terms", type_=ARRAY(Text)),
    bindparam("idfs", type_=ARRAY(Double)),
    bindparam("exclude", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
)

_TITLES = text(
    """
    with recent as materialized (
        select id, title from case_documents
        where tenant_id = :tenant_id and kind = :kind and ref <> all(:exclude)
        order by occurred_at desc limit :window
    )
    select id, similarity(title, :title)::float8 as likeness from recent
    where similarity(title, :title) >= 0.2 order by likeness desc, id limit :limit
    """
).bindparams(bindparam("exclude", type_=ARRAY(Text)), bindparam("tenant_id", type_=Uuid))


@dataclass(frozen=True)
class IndexSize:
    """How many documents of a kind there are, and their mean length in words."""

    documents: int
    words: float


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
        _INSERT_TERMS,
        ids
        | {
            "kind": document.kind,
            "title": document.title,
            "rest": f"{document.resolution}\n{document.body}",
            "facts": sorted({f"={fact}"[:200] for fact in document.facts}),
        },
    )
    await session.execute(_COUNT_WORDS, ids)
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
    row = (await session.execute(_SIZE, {"tenant_id": session.tenant_id, "kind": kind})).one()
    return IndexSize(row.documents, row.words)


async def count_terms(session: TenantSession, *, kind: str, query: str, facts: Sequence[str]) -> dict[str, int]:
    """This will return each word and fact of the query with the number of documents that have it."""
    parameters = {
        "tenant_id": session.tenant_id,
        "kind": kind,
        "text": query,
        "facts": [f"={fact}"[:200] for fact in facts],
    }
    return {row.term: row.documents for row in await session.execute(_COUNT_TERMS, parameters)}


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
    return [TermHit(row.document_id, tuple(row.terms)) for row in await session.execute(_BM25, parameters)]


async def rank_by_title(
    session: TenantSession, *, kind: str, title: str, exclude: Sequence[str], window: int, limit: int
) -> dict[UUID, float]:
    """This will return the newest ``window`` documents whose titles look alike, with how much, best first."""
    parameters = {
        "tenant_id": session.tenant_id,
        "kind": kind,
        "title": title,
        "exclude": list(exclude),
        "window": window,
        "limit": limit,
    }
    return {row.id: row.likeness for row in await session.execute(_TITLES, parameters)}


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
