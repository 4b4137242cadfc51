"""The statements of the search index. Each is bounded: what it reads does not grow with the number of cases."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ARRAY, Double, Text, Uuid, bindparam, text

# The configuration that index and query share; changing it needs the index to be rebuilt.
_CONFIG = "english"
_USABLE = "length(u.lexeme) between 2 and 60 and u.lexeme !~ '^[-+0-9.,:/%]+$'"

_LONGEST = 32_767  # of a smallint

NIL = UUID(int=0)

# A document's length stands with each of its words as well, so that ranking reads no document.
INSERT_TERMS = text(
    f"""
    with parsed as (
        select u.lexeme as term, least(30, (select sum(case w when 'A' then 2 else 1 end) from unnest(u.weights) w)) as weight
        from unnest(
            setweight(to_tsvector('{_CONFIG}', :title), 'A') || setweight(to_tsvector('{_CONFIG}', :rest), 'C')
        ) u where {_USABLE}
    ), terms as materialized (
        select term, coalesce(weight, 1) as weight from parsed union all select f, 1 from unnest(:facts) f
    ), length as (
        select coalesce(sum(weight), 0) as words from terms
    ), counted as (
        update case_documents set words = length.words from length where tenant_id = :tenant_id and id = :document_id
    )
    insert into case_terms (tenant_id, kind, term, document_id, weight, words)
    select :tenant_id, :kind, term, :document_id, weight, least(words, {_LONGEST}) from terms, length
    """  # noqa: S608 - constants of this module only
).bindparams(
    bindparam("facts", type_=ARRAY(Text)), bindparam("tenant_id", type_=Uuid), bindparam("document_id", type_=Uuid)
)

# Documents that are counted, and of which the mean length is taken: beyond it the weights of words hardly change.
DOCUMENTS_COUNTED = 1000
# Different words of a query that are looked up: those of its title, then the longest.
WORDS_ASKED = 150
# Documents of one word that are counted and ranked: the newest ones.
POSTINGS_READ = 200
# A word that more than half of the newest documents have says nothing, however many there are in all.
NEWEST = 2 * POSTINGS_READ

COUNT_TERMS = text(
    f"""
    with wanted as (
        (select u.lexeme as term from unnest(
            setweight(to_tsvector('{_CONFIG}', :title), 'A') || setweight(to_tsvector('{_CONFIG}', :body), 'C')
        ) u where {_USABLE} order by 'A' = any(u.weights) desc, length(u.lexeme) desc, u.lexeme limit {WORDS_ASKED})
        union select f from unnest(:facts) f
    )
    select w.term, found.documents, found.newest
    from wanted w cross join lateral (
        select count(*) as documents, count(*) filter (where t.document_id >= :horizon) as newest from (
            select document_id from case_terms
            where tenant_id = :tenant_id and kind = :kind and term = w.term
            order by document_id desc limit {POSTINGS_READ}
        ) t
    ) found
    """  # noqa: S608 - constants of this module only
).bindparams(
    bindparam("facts", type_=ARRAY(Text)), bindparam("tenant_id", type_=Uuid), bindparam("horizon", type_=Uuid)
)

SIZE = text(
    f"""
    with newest as materialized (
        select id, words from case_documents where tenant_id = :tenant_id and kind = :kind
        order by id desc limit {DOCUMENTS_COUNTED}
    )
    select count(*) as documents, coalesce(avg(words), 0)::float8 as words,
        coalesce((select id from newest order by id desc offset {NEWEST - 1} limit 1), :nil) as horizon
    from newest
    """  # noqa: S608 - constants of this module only
).bindparams(bindparam("tenant_id", type_=Uuid), bindparam("nil", type_=Uuid, value=NIL))

# BM25 with k1 = 1.2 and b = 0.75. Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009.
# Only the index is read until the best are known: the rows, and the documents even more so, lie far apart. A row without
# its document's length, from before there was one, counts as of mean length.
BM25 = text(
    f"""
    with postings as materialized (
        select t.document_id, q.term, q.idf, q.idf * t.weight * 2.2::float8
            / (t.weight + 1.2::float8 * (0.25::float8 + 0.75::float8 * coalesce(t.words / :average, 1))) as score
        from unnest(:terms, :idfs) as q(term, idf) cross join lateral (
            select document_id, weight::float8 as weight, words::float8 as words from case_terms
            where tenant_id = :tenant_id and kind = :kind and term = q.term
            order by document_id desc limit {POSTINGS_READ}
        ) t
    ), best as materialized (
        -- As many as are wanted, even if all that may not be named were among them.
        select document_id, sum(score) as score from postings group by document_id
        order by score desc, document_id desc limit :limit + cardinality(:exclude)
    ), named as materialized (
        select b.document_id, b.score from best b cross join lateral (
            -- Limited, so that it is a look-up for each and never a join with all documents.
            select ref from case_documents where tenant_id = :tenant_id and id = b.document_id limit 1
        ) d where d.ref <> all(:exclude) order by b.score desc, b.document_id desc limit :limit
    )
    select document_id, array_agg(p.term order by p.idf desc, p.term) as terms
    from named n join postings p using (document_id)
    group by document_id, n.score order by n.score desc, document_id desc
    """  # noqa: S608 - constants of this module only
).bindparams(
    bindparam("terms", type_=ARRAY(Text)),
    bindparam("idfs", type_=ARRAY(Double)),
    bindparam("average", type_=Double),
    bindparam("exclude", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
)

TITLES = text(
    """
    with recent as materialized (
        (select id, title from case_documents
        where tenant_id = :tenant_id and kind = :kind and ref <> all(:exclude)
        order by occurred_at desc limit :window)
        union
        select id, title from case_documents
        where tenant_id = :tenant_id and id = any(:among) and ref <> all(:exclude)
    ), alike as materialized (
        select id, similarity(title, :title)::float8 as likeness from recent
    )
    select id, likeness from alike where likeness >= 0.2 order by likeness desc, id limit :limit
    """
).bindparams(
    bindparam("exclude", type_=ARRAY(Text)),
    bindparam("among", type_=ARRAY(Uuid)),
    bindparam("tenant_id", type_=Uuid),
)
