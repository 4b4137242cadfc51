"""The questions that may be asked of a PostgreSQL server. A runbook names one; it never holds SQL.

A read-only transaction does not make SQL harmless: ``select pg_terminate_backend(..)`` is allowed in one. So the
statements are ours, and new ones come with a typed answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


class Connections(BaseModel):
    """Connections of clients by state. ``used_percent`` is of what ``max_connections`` leaves to ordinary roles."""

    total: int
    active: int
    idle: int
    idle_in_transaction: int
    waiting_for_locks: int
    max_connections: int
    used_percent: float
    oldest_transaction_s: float | None = None


class Client(BaseModel):
    application: str
    user_name: str
    state: str
    connections: int


class ConnectionsByClient(BaseModel):
    clients: list[Client]
    truncated: bool = False


class LongQuery(BaseModel):
    pid: int
    user_name: str
    state: str
    running_s: float
    query: str


class LongQueries(BaseModel):
    queries: list[LongQuery]
    truncated: bool = False


class DatabaseSize(BaseModel):
    size_bytes: int
    commits: int
    rollbacks: int
    deadlocks: int


@dataclass(frozen=True)
class Query:
    """A statement with at most one parameter, the row cap, and the shape of its answer.

    Attributes:
        rows_as: The field of ``output`` that takes the rows; None where there is exactly one row.
    """

    sql: str
    output: type[BaseModel]
    rows_as: str | None = None


QUERIES: dict[str, Query] = {
    "connections_by_state": Query(
        "select count(*)::int as total,"
        " count(*) filter (where state = 'active')::int as active,"
        " count(*) filter (where state = 'idle')::int as idle,"
        " count(*) filter (where state like 'idle in transaction%')::int as idle_in_transaction,"
        " count(*) filter (where wait_event_type = 'Lock')::int as waiting_for_locks,"
        " current_setting('max_connections')::int as max_connections,"
        " round(100.0 * count(*) / greatest(1, current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int), 1)::float8 as used_percent,"
        " extract(epoch from max(clock_timestamp() - xact_start))::float8 as oldest_transaction_s"
        " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
        Connections,
    ),
    "connections_by_client": Query(
        "select left(coalesce(application_name, ''), 100) as application, coalesce(usename, '') as user_name,"
        " coalesce(state, '') as state, count(*)::int as connections"
        " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        " group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit $1",
        ConnectionsByClient,
        rows_as="clients",
    ),
    "long_queries": Query(
        "select pid, coalesce(usename, '') as user_name, coalesce(state, '') as state,"
        " extract(epoch from clock_timestamp() - query_start)::float8 as running_s, left(query, 200) as query"
        " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        " and state <> 'idle' and query_start is not null"
        " order by query_start limit $1",
        LongQueries,
        rows_as="queries",
    ),
    "database_size": Query(
        "select pg_database_size(current_database())::int8 as size_bytes, xact_commit::int8 as commits,"
        " xact_rollback::int8 as rollbacks, deadlocks::int8 as deadlocks"
        " from pg_stat_database where datname = current_database()",
        DatabaseSize,
    ),
}
