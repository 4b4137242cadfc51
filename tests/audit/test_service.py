"""The chain on the real database: whole when written by us, broken by every kind of tampering."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.audit.service import Deed, VerifyReport, record, record_many, verify_chain
from app.core.actor import Actor
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from tests.fixtures.clock import MONDAY_NOON
from tests.fixtures.database import PostgresServer, make_tenant

ACTOR = Actor.system("test")


def deeds(count: int, **detail: Any) -> list[Deed]:
    return [Deed(actor=ACTOR, action="thing.done", subject=f"thing:{n}", detail=detail) for n in range(count)]


async def verify(database: Database, tenant: TenantId) -> VerifyReport:
    async with tenant_session(database, tenant) as session:
        return await verify_chain(session)


async def test_entries_are_numbered_without_gap_and_whole(session: TenantSession) -> None:
    await record(session, actor=ACTOR, action="a.b", subject="c:1", detail={"n": 1}, now=MONDAY_NOON)
    await record_many(session, deeds(3), now=MONDAY_NOON)
    await record_many(session, [], now=MONDAY_NOON)
    seqs = (await session.execute(text("select seq from audit_entries order by seq"))).scalars().all()
    assert seqs == [1, 2, 3, 4]
    assert await verify_chain(session) == VerifyReport(4, None)


async def test_the_report_names_the_head_to_keep_elsewhere(session: TenantSession) -> None:
    heads = []
    for _ in range(2):
        await record_many(session, deeds(1), now=MONDAY_NOON)
        heads.append((await verify_chain(session)).head)
        last = await session.execute(text("select hash from audit_entries order by seq desc limit 1"))
        assert heads[-1] == last.scalar_one()
    assert heads[0] != heads[1]


async def test_an_empty_trail_is_whole(session: TenantSession) -> None:
    assert await verify_chain(session) == VerifyReport(0, None)


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
details = st.dictionaries(
    texts,
    st.recursive(numbers | texts | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=3)),
    max_size=5,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(details, min_size=10, max_size=10))
@example(written=[{"n": 5.126361194263351e16}, {"n": 1e16}, {"n": -0.0}, {"n": 1e300}, {"n": 5e-324}])
async def test_whatever_is_written_reads_back_whole(database: Database, written: list[dict[str, Any]]) -> None:
    tenant = await make_tenant(database)
    async with tenant_session(database, tenant) as session:
        entries = [Deed(actor=ACTOR, action="a", subject="b", detail=detail) for detail in written]
        await record_many(session, entries, now=MONDAY_NOON)
    assert await verify(database, tenant) == VerifyReport(len(written), None)


async def test_a_deed_that_is_rolled_back_leaves_no_entry_and_no_gap(database: Database, tenant_id: TenantId) -> None:
    class Failed(Exception):
        pass

    for fails in (False, True, False):
        try:
            async with tenant_session(database, tenant_id) as session:
                await record_many(session, deeds(2), now=MONDAY_NOON)
                if fails:
                    raise Failed
        except Failed:
            continue
    assert await verify(database, tenant_id) == VerifyReport(4, None)


async def test_writers_at_the_same_time_make_one_chain(database: Database, tenant_id: TenantId) -> None:
    async def write(count: int) -> None:
        async with tenant_session(database, tenant_id) as session:
            await record_many(session, deeds(count), now=MONDAY_NOON)
            await session.execute(text("select pg_sleep(0.005)"))

    # The first entries of all: even the head row does not exist yet.
    await asyncio.gather(*(write(1 + n % 3) for n in range(12)))
    assert await verify(database, tenant_id) == VerifyReport(24, None)


async def test_verifying_does_not_mind_writers(database: Database, tenant_id: TenantId) -> None:
    stop = asyncio.Event()

    async def write() -> int:
        written = 0
        while not stop.is_set():
            async with tenant_session(database, tenant_id) as session:
                await record_many(session, deeds(5), now=MONDAY_NOON)
                written += 5
        return written

    writer = asyncio.create_task(write())
    reports = [await verify(database, tenant_id) for _ in range(25)]
    stop.set()
    assert await writer > 0
    assert [report.broken for report in reports] == [None] * 25
    assert [report.entries for report in reports] == sorted(report.entries for report in reports)


async def test_another_tenants_chain_is_its_own(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId
) -> None:
    for tenant, count in ((tenant_id, 3), (other_tenant_id, 2)):
        async with tenant_session(database, tenant) as session:
            await record_many(session, deeds(count), now=MONDAY_NOON)
    assert (await verify(database, tenant_id)).entries == 3
    assert (await verify(database, other_tenant_id)).entries == 2


@pytest.mark.parametrize("statement", ["update audit_entries set action = 'x'", "delete from audit_entries"])
async def test_the_application_itself_cannot_touch_what_is_written(session: TenantSession, statement: str) -> None:
    await record_many(session, deeds(1), now=MONDAY_NOON)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with session.begin_nested():
            await session.execute(text(statement))


async def test_the_head_cannot_be_deleted(session: TenantSession) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with session.begin_nested():
            await session.execute(text("delete from audit_heads"))


# What somebody with the owner's rights could do: (statements on tenant $1's chain of five, words of the report, entries).
TAMPERING = {
    "an edit": (
        "update audit_entries set actor_name = 'Eve' where tenant_id = $1 and seq = 3",
        "entry 3 was changed",
        2,
    ),
    "an edit of the detail": (
        """update audit_entries set detail = '{"n": 2}' where tenant_id = $1 and seq = 2""",
        "entry 2 was changed",
        1,
    ),
    "an edit of the time": (
        "update audit_entries set at = at + interval '1 microsecond' where tenant_id = $1 and seq = 5",
        "entry 5 was changed",
        4,
    ),
    "an edit that is hashed anew": (
        "update audit_entries set subject = 'x', hash = sha256('x'::bytea) where tenant_id = $1 and seq = 5",
        "entry 5 was changed",
        4,
    ),
    "a deletion": ("delete from audit_entries where tenant_id = $1 and seq = 3", "entry 3 is missing", 2),
    "a cut-off tail and a head that was moved back": (
        "with gone as (delete from audit_entries where tenant_id = $1 and seq = 5 returning 1), "
        "moved as (update audit_heads set seq = 4 where tenant_id = $1) select count(*) from gone",
        "entry 4 is not the one that was written last",
        4,
    ),
    "a cut-off tail": ("delete from audit_entries where tenant_id = $1 and seq > 3", "ends at entry 3, but 5", 3),
    "everything gone": ("delete from audit_entries where tenant_id = $1", "ends at entry 0, but 5", 0),
    "the head gone": ("delete from audit_heads where tenant_id = $1", "entry 1 was not written by Tocsin", 0),
    "two in another order": (
        "update audit_entries set seq = case seq when 2 then 3000 else 2 end where tenant_id = $1 and seq in (2, 3)",
        "entry 2 does not follow",
        1,
    ),
    "an insertion": (
        "insert into audit_entries select tenant_id, gen_random_uuid(), 6, at, actor_kind, actor_id, actor_name, action,"
        " subject, detail, hash, hash from audit_entries where tenant_id = $1 and seq = 5",
        "entry 6 was not written by Tocsin",
        5,
    ),
}


@pytest.fixture
async def chain_of_five(database: Database, tenant_id: TenantId) -> UUID:
    async with tenant_session(database, tenant_id) as session:
        await record_many(session, deeds(5, n=1), now=MONDAY_NOON)
    return tenant_id


@pytest.mark.parametrize("kind", TAMPERING)
async def test_tampering_is_found(
    postgres: PostgresServer, database: Database, database_name: str, chain_of_five: TenantId, kind: str
) -> None:
    statement, words, entries = TAMPERING[kind]
    connection: asyncpg.Connection[Any]
    async with postgres.superuser(database_name) as connection:
        await connection.execute(statement, chain_of_five)
    report = await verify(database, chain_of_five)
    assert report.broken is not None
    assert words in report.broken
    assert (report.ok, report.entries) == (False, entries)
