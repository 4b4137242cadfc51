"""The index of words: what a search reads of it stays bounded, and is the index alone until the best are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.enhancement.repository import search as repository
from app.enhancement.repository import search_statements as statements
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.service.cases import find_similar, index_case
from tests.enhancement.test_cases import NOW, ask
from tests.fixtures.database import PostgresServer, make_tenant

_MANY = """
    insert into case_documents (tenant_id, id, kind, ref, title, body, trust, words, occurred_at)
    select :tenant_id, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'ticket', 'n' || n,
        'Queue ' || n, 'x', 'trusted', 3, now() - make_interval(mins => 3000 - n) from generate_series(1, 1500) n
"""
_MANY_TERMS = """
    insert into case_terms (tenant_id, kind, term, document_id, weight, words)
    select :tenant_id, 'ticket', t.term, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 3
    from generate_series(1, 1500) n, lateral (values
        ('queue', 1), ('ledger', 4), ('zanzibar', 700)) t(term, every) where n % t.every = 0
"""


@pytest.fixture
async def many(session: TenantSession) -> TenantSession:
    """A tenant's session with 1,500 tickets: all have one word, a quarter another, and two a third."""
    for statement in (_MANY, _MANY_TERMS):
        await session.execute(text(statement), {"tenant_id": session.tenant_id})
    return session


async def test_the_word_lookup_is_an_index_scan_under_row_level_security(
    postgres: PostgresServer, scratch_name: str, scratch_database: Database
) -> None:
    tenant_id = await make_tenant(scratch_database)
    # Many words of few documents: a plan by the tenant alone would read them all.
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "insert into case_terms (tenant_id, kind, term, document_id, weight)"
            f" select '{tenant_id}', 'ticket', 'word' || n, '{tenant_id}', 1 from generate_series(1, 5000) n"
        )
        await connection.execute("analyze case_terms")
    async with tenant_session(scratch_database, tenant_id) as session:
        plan = await session.execute(
            text(
                "explain select document_id from case_terms where tenant_id = :t and kind = 'ticket' and term = 'disk'"
            ),
            {"t": tenant_id},
        )
        lines = "\n".join(row[0] for row in plan)
    assert "term = 'disk'" in lines.split("Index Cond", 1)[1].split("\n", 1)[0]


async def test_what_is_read_of_a_word_does_not_grow_with_its_documents(many: TenantSession) -> None:
    size = await repository.measure_index(many, kind="ticket")
    counts = await repository.count_terms(
        many, kind="ticket", title="queue of the ledger in zanzibar", body="", facts=(), horizon=size.horizon
    )
    assert size.documents == statements.DOCUMENTS_COUNTED
    assert {term: (count.documents, count.common) for term, count in counts.items()} == {
        "queue": (statements.POSTINGS_READ, True),  # all of 1,500
        "ledger": (statements.POSTINGS_READ, False),  # 375
        "zanzibar": (2, False),
    }
    hits = await repository.rank_by_terms(
        many, kind="ticket", idfs={"ledger": 1.0, "zanzibar": 5.0}, mean_words=3, exclude=(), limit=50
    )
    # Number 1400 has both words; of the others with the common one, the newest come.
    assert [hit.document_id.int & 0xFFFF for hit in hits[:2]] == [1400, 700]
    assert all(hit.document_id.int & 0xFFFF > 1500 - 4 * statements.POSTINGS_READ for hit in hits[2:])


async def test_a_word_that_most_cases_share_is_no_reason(many: TenantSession) -> None:
    found = await find_similar(
        many, kind=SourceKind.TICKET, request=ask("The queue of the ledger in zanzibar", "nothing else"), window=500
    )
    assert found[0].ref == "n1400"
    assert not any("queue" in reason for item in found for reason in item.why)


async def test_a_ticket_of_very_many_words_looks_up_a_bounded_number(session: TenantSession) -> None:
    counts = await repository.count_terms(
        session,
        kind="ticket",
        title="ox",
        body=" ".join(f"word{'x' * (n % 20)}{n}" for n in range(2000)),
        facts=(),
        horizon=statements.NIL,
    )
    assert len(counts) == statements.WORDS_ASKED
    assert "ox" in counts, "a word of the title comes first, however short"


async def rank(session: TenantSession, *terms: str, exclude: tuple[str, ...] = (), limit: int = 10) -> list[UUID]:
    hits = await repository.rank_by_terms(
        session, kind="ticket", idfs=dict.fromkeys(terms, 1.0), mean_words=10, exclude=exclude, limit=limit
    )
    return [hit.document_id for hit in hits]


async def put(session: TenantSession, ref: str, body: str) -> UUID:
    await index_case(session, kind=SourceKind.TICKET, ref=ref, title="", body=body, occurred_at=NOW)
    found = await session.scalar(text("select id from case_documents where ref = :ref"), {"ref": ref})
    assert isinstance(found, UUID)
    return found


async def test_of_two_cases_with_the_same_words_the_shorter_one_is_nearer(session: TenantSession) -> None:
    short = await put(session, "short", "disk full")
    long = await put(session, "long", "disk full and " + " ".join(f"word{chr(97 + n)}" for n in range(20)))
    assert await rank(session, "disk", "full") == [short, long]


async def test_a_row_that_does_not_know_its_document_is_long_counts_as_of_mean_length(session: TenantSession) -> None:
    short = await put(session, "short", "disk full")
    long = await put(session, "long", "disk full and " + " ".join(f"word{chr(97 + n)}" for n in range(20)))
    old = await put(session, "old", "disk full")
    await session.execute(text("update case_terms set words = null where document_id = :id"), {"id": old})
    assert await rank(session, "disk", "full") == [short, old, long]


async def test_each_row_and_the_document_know_the_length(session: TenantSession) -> None:
    document = await put(session, "1", "disk disk full")
    asked = "select distinct d.words, t.words from case_documents d join case_terms t on t.document_id = d.id where d.id = :id"
    assert (await session.execute(text(asked), {"id": document})).all() == [(3, 3)]


async def test_cases_that_may_not_be_named_take_nobodys_place(many: TenantSession) -> None:
    first = await rank(many, "ledger", limit=4)
    exclude = tuple(f"n{document.int & 0xFFFF}" for document in first[:3])
    assert len(first) == 4
    assert (await rank(many, "ledger", exclude=exclude, limit=4))[0] == first[3]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def test_ranking_reads_the_index_alone_and_the_documents_of_the_best(
    postgres: PostgresServer, scratch_name: str, scratch_database: Database
) -> None:
    tenant_id = await make_tenant(scratch_database)
    async with tenant_session(scratch_database, tenant_id) as session:
        # VACUUM marks no page as seen by all whose commit is not flushed yet.
        await session.execute(text("set local synchronous_commit = on"))
        for statement in (_MANY, _MANY_TERMS):
            await session.execute(text(statement), {"tenant_id": tenant_id})
    async with postgres.superuser(scratch_name) as connection:
        await connection.execute("vacuum (analyze) case_terms, case_documents")
    compiled = statements.BM25.compile(dialect=scratch_database.app.dialect)
    parameters: dict[str, Any] = {
        "tenant_id": tenant_id,
        "kind": "ticket",
        "terms": ["queue", "ledger"],
        "idfs": [1, 2],
    }
    parameters |= {"average": 3.0, "exclude": ["n4"], "limit": 10}
    async with tenant_session(scratch_database, tenant_id) as session:
        plan = await session.driver.fetchval(
            f"explain (analyze, format json) {compiled}", *[parameters[name] for name in compiled.positiontup or ()]
        )
    found = list(nodes(plan[0]["Plan"]))
    words = [node for node in found if node.get("Index Name") == "pk_case_terms"]
    assert [(node["Node Type"], node["Heap Fetches"]) for node in words] == [("Index Only Scan", 0)]
    assert not [node for node in found if node.get("Relation Name") == "case_terms" and node not in words]
    documents = [node for node in found if node.get("Relation Name") == "case_documents"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in documents) <= 11
