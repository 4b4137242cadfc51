"""Search on a real PostgreSQL: words, titles, exact facts and signatures, inside one tenant only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.enhancement.contract import ContextRequest
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import Evidence, SourceKind
from app.enhancement.rules.text import signature_hash
from app.enhancement.service.cases import find_similar, forget_case, index_case

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
# Families of tickets: what is the same fault in other words. The number is the family.
PAST = [
    (
        1,
        "Checkout returns 502",
        "ERROR payment worker on pay01 was OOM killed, HTTP 502 from 10.1.2.3",
        "Raised memory limit.",
    ),
    (
        1,
        "Payments fail with bad gateway",
        "The payment worker runs out of memory, gateway says 502",
        "Restarted the worker.",
    ),
    (2, "Disk full on backup host", "No space left on device /var/backup at bck-7", "Removed old archives."),
    (2, "Backups stopped", "backup job failed: No space left on device", "Extended the volume by 200 GB."),
    (
        3,
        "Cannot log in to VPN",
        "Token rejected by the VPN gateway since this morning",
        "Clock of the token server was wrong.",
    ),
    (4, "Printer jams on floor 3", "Paper gets stuck in the tray of the printer", "Cleaned the rollers."),
    (4, "Printer paper jam", "Stuck paper again, printer on floor 2", "Replaced the tray."),
    (5, "Slow reports", "Month-end report takes 40 minutes, database CPU is at 100 %", "Added the missing index."),
]
QUERIES = [
    (1, "Shop does not take payments", "Customers see HTTP 502, the payment worker is out of memory"),
    (1, "Error page at checkout", "10.1.2.3 answers with an error"),
    (2, "Backup failed tonight", "No space left on device"),
    (3, "VPN login broken", "my token is rejected"),
    (4, "Paper stuck", "the printer on floor 3 jams all the time"),
    (5, "Report is slow", "the month-end report does not finish, CPU of the database is high"),
]
STRANGERS = [
    ("New keyboard please", "My keys are sticky, I would like to have a new one"),
    ("Parking permit", "How do I register my car for the garage?"),
    ("", ""),
]


def ask(title: str, body: str, *, exclude: frozenset[str] = frozenset()) -> ContextRequest:
    whole = f"{title}\n{body}"
    return ContextRequest(
        title=title,
        body=body,
        entities=extract(whole),
        signature_hash=signature_hash(whole),
        exclude=exclude,
        limit=10,
        now=NOW,
    )


async def search(
    session: TenantSession, title: str, body: str, *, exclude: frozenset[str] = frozenset()
) -> list[Evidence]:
    return await find_similar(session, kind=SourceKind.TICKET, request=ask(title, body, exclude=exclude), window=1000)


@pytest.fixture
async def past(session: TenantSession) -> TenantSession:
    """A tenant's session with the families above in the index."""
    for number, (family, title, body, resolution) in enumerate(PAST):
        await index_case(
            session,
            kind=SourceKind.TICKET,
            ref=f"{family}-{number}",
            title=title,
            body=body,
            resolution=resolution,
            occurred_at=NOW - timedelta(days=number),
        )
    return session


@pytest.mark.parametrize(("family", "title", "body"), QUERIES)
async def test_the_best_hit_is_of_the_same_family(past: TenantSession, family: int, title: str, body: str) -> None:
    found = await search(past, title, body)
    assert found, title
    assert found[0].ref.split("-")[0] == str(family)
    assert found[0].why
    assert found[0].resolution


@pytest.mark.parametrize(("title", "body"), STRANGERS)
async def test_a_ticket_like_none_finds_none(past: TenantSession, title: str, body: str) -> None:
    assert await search(past, title, body) == []


async def test_an_exact_address_is_found_and_named(past: TenantSession) -> None:
    found = await search(past, "Strange host", "what is 10.1.2.3 ?")
    assert [item.ref for item in found] == ["1-0"]
    assert "same 10.1.2.3" in found[0].why


async def test_an_equal_error_with_other_numbers_is_the_same_signature(past: TenantSession) -> None:
    await index_case(
        past,
        kind=SourceKind.TICKET,
        ref="9-1",
        title="Pool",
        body="ERROR pool 17 exhausted after 30 s",
        occurred_at=NOW,
    )
    found = await search(past, "Something else", "ERROR pool 3 exhausted after 45 s")
    assert found[0].ref == "9-1"
    assert "same error" in found[0].why


async def test_the_ticket_itself_is_not_its_own_precedent(past: TenantSession) -> None:
    found = await search(past, PAST[0][1], PAST[0][2], exclude=frozenset({"1-0"}))
    assert "1-0" not in {item.ref for item in found}


async def test_other_kinds_are_other_indexes(past: TenantSession) -> None:
    assert await find_similar(past, kind=SourceKind.INCIDENT, request=ask(*QUERIES[0][1:]), window=10) == []


async def test_indexing_again_replaces_and_forgetting_removes(past: TenantSession) -> None:
    await index_case(past, kind=SourceKind.TICKET, ref="3-4", title="Coffee machine", body="no beans", occurred_at=NOW)
    assert await search(past, "VPN login broken", "token rejected by gateway") == []
    assert (await search(past, "coffee machine", "beans"))[0].ref == "3-4"
    await forget_case(past, kind=SourceKind.TICKET, ref="3-4")
    assert await search(past, "coffee machine", "beans") == []
    left = await past.scalar(text("select count(*) from case_terms where term = 'coffe'"))
    assert left == 0


async def test_secrets_do_not_reach_the_index(past: TenantSession) -> None:
    await index_case(
        past,
        kind=SourceKind.TICKET,
        ref="8-1",
        title="Login with password=Hunter2Hunter2",
        body="the api_key: 9f8e7d6c5b4a and more",
        resolution="new password is Tr0ub4dor",
        occurred_at=NOW,
    )
    stored = await past.scalar(
        text("select string_agg(title || body || resolution, ' ') from case_documents where ref = '8-1'")
    )
    terms = await past.scalar(text("select string_agg(term, ' ') from case_terms"))
    for secret in ("hunter2hunter2", "9f8e7d6c5b4a", "tr0ub4dor"):
        assert secret not in f"{stored} {terms}".lower()


async def test_hostile_queries_are_only_words(past: TenantSession) -> None:
    for odd in ("'; drop table case_terms; --", "a & | ! <-> b:*", "%_\\", "\u202e\u200b", "x" * 20_000, "a " * 5_000):
        assert isinstance(await search(past, odd[:500], odd), list)


async def test_no_word_of_another_tenant_is_found(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId
) -> None:
    async with tenant_session(database, tenant_id) as session:
        await index_case(
            session,
            kind=SourceKind.TICKET,
            ref="1",
            title="Zanzibar outage",
            body="the zanzibar gateway is down",
            occurred_at=NOW,
        )
    async with tenant_session(database, tenant_id) as session:
        assert len(await search(session, "Zanzibar gateway down", "zanzibar")) == 1
    async with tenant_session(database, other_tenant_id) as session:
        assert await search(session, "Zanzibar gateway down", "zanzibar") == []
