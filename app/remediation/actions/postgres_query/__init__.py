"""``postgres.query``: one of a fixed set of questions, asked in a read-only transaction with a statement time-out.

The answer is capped in rows and in bytes. The question is chosen by name; there is no way to hand in SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel, Field, field_validator

from app.remediation.actions.postgres_query.failures import failure_of
from app.remediation.actions.postgres_query.queries import QUERIES, Query
from app.remediation.actions.postgres_query.tls import verifying
from app.remediation.contract import ActionSpec, ReadAction, ReadContext, ReadFailed, Unreachable
from app.remediation.rules.connections import PostgresConnection
from app.remediation.rules.spec import Risk

MAX_BYTES = 65_536


class Params(BaseModel, extra="forbid"):
    query: str
    rows: int = Field(50, ge=1, le=200, description="Rows answered at the most.")

    @field_validator("query")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in QUERIES:
            raise ValueError(f"there is no query {value!r}; there are {', '.join(QUERIES)}")
        return value


class Answer(BaseModel):
    """Base of what is answered; each query has its own model."""


def output_of(arguments: Mapping[str, Any]) -> type[BaseModel]:
    return QUERIES[arguments["query"]].output


async def run(ctx: ReadContext, params: Params) -> BaseModel:
    query = QUERIES[params.query]
    try:
        async with asyncio.timeout(ctx.timeout_s):
            return _shaped(query, await _fetch(ctx, query, params.rows), params.rows)
    except ReadFailed:
        raise
    # Any: what else than PostgreSQL answers there makes the client library fail in ways of its own.
    except Exception as error:
        raise ReadFailed(failure_of(error)) from error


async def _fetch(ctx: ReadContext, query: Query, rows: int) -> Sequence[dict[str, Any]]:
    connection = await _connect(ctx)
    try:
        # Two belts: the session defaults to read-only, and the transaction says so again.
        async with connection.transaction(readonly=True):
            arguments = (rows + 1,) if query.rows_as is not None else ()
            # The extended protocol: a statement with a second one behind a semicolon is an error.
            return [dict(record) for record in await connection.fetch(query.sql, *arguments)]
    finally:
        await connection.close(timeout=2)


async def _connect(ctx: ReadContext) -> asyncpg.Connection[Any]:
    target = ctx.target.connection
    if not isinstance(target, PostgresConnection):
        raise ReadFailed("the target is not a PostgreSQL server")
    try:
        address = await ctx.resolver.pin(target.host, target.port)
    except Unreachable as error:
        raise ReadFailed(str(error)) from error
    milliseconds = str(max(1, int(ctx.timeout_s * 1000)))
    return await asyncpg.connect(
        # Never the name: looked up once more, it could lead to where it was not judged.
        host=address,
        port=target.port,
        user=target.user,
        # Empty and not None: else asyncpg looks for one in this process's environment and home directory.
        password=ctx.target.secret.get_secret_value() if ctx.target.secret else "",
        database=target.database,
        ssl=verifying(target.host) if target.tls == "verify-full" else target.tls,
        timeout=ctx.timeout_s,
        statement_cache_size=0,
        server_settings={
            "application_name": "tocsin-runbook",
            "default_transaction_read_only": "on",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        },
    )


def _shaped(query: Query, rows: Sequence[dict[str, Any]], limit: int) -> BaseModel:
    if query.rows_as is None:
        if len(rows) != 1:
            raise ReadFailed(f"expected one row, got {len(rows)}")
        return query.output.model_validate(rows[0])
    kept, size = list[dict[str, Any]](), 0
    for row in rows[:limit]:
        size += len(orjson.dumps(row))
        if size > MAX_BYTES:
            break
        kept.append(row)
    return query.output.model_validate({query.rows_as: kept, "truncated": len(kept) < len(rows)})


ACTION = ReadAction(
    spec=ActionSpec(
        slug="postgres.query",
        about="Asks PostgreSQL one of a fixed set of questions.",
        params=Params,
        output=Answer,
        output_of=output_of,
        chosen_by=("query",),
        risk=Risk.READ,
        target_kind="postgres",
    ),
    run=run,
)
