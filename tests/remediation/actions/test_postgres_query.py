"""``postgres.query`` on a real server: it answers what it is asked, and the server itself refuses everything else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from pydantic import BaseModel, ValidationError

from app.net.outbound import OutboundHttp
from app.remediation.actions.postgres_query import MAX_BYTES, Params, run
from app.remediation.actions.postgres_query.queries import (
    QUERIES,
    Connections,
    ConnectionsByClient,
    DatabaseSize,
    LongQueries,
    Query,
)
from app.remediation.contract import ActionTarget, ReadFailed
from tests.fixtures.wait import ends, wait_until
from tests.remediation.targets import WATCHER_PASSWORD, WatchedPostgres, silent_server, target_of, to_read


class Rows(BaseModel):
    rows: list[dict[str, str]]
    truncated: bool = False


class One(BaseModel):
    value: str | int


def offer(monkeypatch: pytest.MonkeyPatch, sql: str, *, rows: bool = False) -> Params:
    """Put a statement among the questions, as a careless author of one might."""
    query = Query(sql, Rows, rows_as="rows") if rows else Query(sql, One)
    monkeypatch.setitem(QUERIES, "careless", query)
    return Params(query="careless", rows=200)


@pytest.mark.parametrize("name", QUERIES)
async def test_each_question_is_answered_in_its_shape(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, name: str
) -> None:
    found = await run(to_read(watched_postgres.target(), outbound), Params(query=name))
    assert type(found) is QUERIES[name].output


async def test_connections_are_counted_and_told_apart(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp
) -> None:
    context = to_read(watched_postgres.target(), outbound)
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(watched_postgres.superuser("crowd")) for _ in range(3)]
        await idle[0].execute("begin")
        usage = await run(context, Params(query="connections_by_state"))
        holders = await run(context, Params(query="connections_by_client"))
    assert isinstance(usage, Connections)
    assert (usage.total, usage.idle, usage.idle_in_transaction) == (3, 2, 1)
    assert usage.used_percent == pytest.approx(100 * 3 / (usage.max_connections - 3), abs=0.1)
    assert isinstance(holders, ConnectionsByClient)
    crowd = {client.state: client.connections for client in holders.clients if client.application == "crowd"}
    assert crowd == {"idle": 2, "idle in transaction": 1}


async def test_a_long_query_is_seen_with_its_text(watched_postgres: WatchedPostgres, outbound: OutboundHttp) -> None:
    async with watched_postgres.superuser() as busy:
        sleeping = asyncio.create_task(busy.execute("select pg_sleep(60) /* the long one */"))

        async def seen() -> list[int]:
            found = await run(to_read(watched_postgres.target(), outbound), Params(query="long_queries"))
            assert isinstance(found, LongQueries)
            return [query.pid for query in found.queries if "the long one" in query.query and query.running_s >= 0]

        assert await wait_until(seen) == [busy.get_server_pid()]
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping


async def test_the_database_has_a_size(watched_postgres: WatchedPostgres, outbound: OutboundHttp) -> None:
    found = await run(to_read(watched_postgres.target(), outbound), Params(query="database_size"))
    assert isinstance(found, DatabaseSize)
    assert found.size_bytes > 1_000_000


READ_ONLY = "SQLSTATE 25006"
WRITES = {
    "an insert": ("insert into kept values (2) returning id as value", READ_ONLY),
    "an update": ("update kept set id = 3 returning id as value", READ_ONLY),
    "a delete": ("delete from kept returning id as value", READ_ONLY),
    "a function that writes": ("select nextval('counter')::int as value", READ_ONLY),
    "a table of its own": ("create table mine (id int)", READ_ONLY),
    "a way out": ("select set_config('transaction_read_only', 'off', false) as value", "SQLSTATE 25001"),
    "a second statement": ("select 1 as value; delete from kept", "SQLSTATE 42601"),
}


@pytest.mark.parametrize("what", WRITES)
async def test_the_server_refuses_every_write(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    sql, reason = WRITES[what]
    params = offer(monkeypatch, sql)
    with pytest.raises(ReadFailed, match=reason):
        await run(to_read(watched_postgres.target(), outbound), params)
    async with watched_postgres.superuser() as connection:
        assert await connection.fetch("select id from kept") == [(1,)]
        assert await connection.fetchval("select is_called from counter") is False
        assert await connection.fetchval("select to_regclass('mine')") is None


async def test_the_role_itself_might_have_written(watched_postgres: WatchedPostgres) -> None:
    async with watched_postgres.superuser() as connection, connection.transaction():
        await connection.execute("set local role watcher")
        assert await connection.fetchval("update kept set id = 1 returning id") == 1


async def test_a_statement_that_does_not_end_is_ended_at_the_server_too(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = offer(monkeypatch, "select pg_sleep(60)::text as value")
    async with ends():
        with pytest.raises(ReadFailed):
            await run(to_read(watched_postgres.target(), outbound, timeout_s=0.5), params)

    async def left() -> bool:
        async with watched_postgres.superuser() as connection:
            count = "select count(*) from pg_stat_activity where application_name = 'tocsin-runbook'"
            return bool(await connection.fetchval(count) == 0)

    assert await wait_until(left, timeout_s=5)


async def test_a_lock_is_not_waited_for_longer_than_the_time_allows(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = offer(monkeypatch, "select id as value from kept")
    async with watched_postgres.superuser() as connection, connection.transaction():
        await connection.execute("lock table kept in access exclusive mode")
        with pytest.raises(ReadFailed):
            await run(to_read(watched_postgres.target(), outbound, timeout_s=0.5), params)


async def test_rows_are_capped_and_the_cut_is_said(watched_postgres: WatchedPostgres, outbound: OutboundHttp) -> None:
    context = to_read(watched_postgres.target(), outbound)
    async with AsyncExitStack() as stack:
        for number in range(3):
            await stack.enter_async_context(watched_postgres.superuser(f"client-{number}"))
        cut = await run(context, Params(query="connections_by_client", rows=2))
        whole = await run(context, Params(query="connections_by_client", rows=200))
    assert isinstance(cut, ConnectionsByClient)
    assert isinstance(whole, ConnectionsByClient)
    assert (len(cut.clients), cut.truncated) == (2, True)
    assert (len(whole.clients) >= 3, whole.truncated) == (True, False)


async def test_bytes_are_capped_and_the_cut_is_said(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = offer(monkeypatch, "select repeat('x', 1000) as value from generate_series(1, $1)", rows=True)
    found = await run(to_read(watched_postgres.target(), outbound), params)
    assert isinstance(found, Rows)
    assert found.truncated
    assert 0 < len(found.rows) * 1000 < MAX_BYTES


@pytest.mark.parametrize("rows", [0, 201])
def test_the_rows_asked_for_are_bounded(rows: int) -> None:
    with pytest.raises(ValidationError):
        Params(query="connections_by_client", rows=rows)


@pytest.mark.parametrize("query", ["select 1", "", "connections_by_state; drop table kept"])
def test_sql_cannot_be_handed_in(query: str) -> None:
    with pytest.raises(ValidationError, match="there is no query"):
        Params(query=query)


async def test_a_wrong_password_is_no_answer_and_is_not_repeated(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp
) -> None:
    with pytest.raises(ReadFailed) as failed:
        await run(to_read(watched_postgres.target(secret="guessed"), outbound), Params(query="database_size"))
    assert str(failed.value) == "the user name or the password is wrong (SQLSTATE 28P01)"


async def test_a_server_that_is_not_there_or_silent_is_no_answer(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp
) -> None:
    async def fails_in_time(target: ActionTarget, words: str) -> None:
        async with ends():
            with pytest.raises(ReadFailed, match=words):
                await run(to_read(target, outbound, timeout_s=0.5), Params(query="database_size"))

    await fails_in_time(watched_postgres.target(port=1), "the connection was refused")
    async with silent_server() as port:
        await fails_in_time(watched_postgres.target(port=port), "timed out")


async def test_no_password_of_the_process_itself_is_sent(
    watched_postgres: WatchedPostgres, outbound: OutboundHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library would take the one that its environment holds for a target that has none."""
    monkeypatch.setenv("PGPASSWORD", WATCHER_PASSWORD)
    without = target_of("postgres", **watched_postgres.connection())
    with pytest.raises(ReadFailed, match="the password is wrong"):
        await run(to_read(without, outbound), Params(query="database_size"))
