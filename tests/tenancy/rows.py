"""Minimal rows for any tenant table, made from what the catalogue says about it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from app.core.ids import new_id

Connection: TypeAlias = "asyncpg.Connection[Any]"

COLUMNS = """
    select a.attname as name, format_type(a.atttypid, null) as type, a.attnotnull as needed,
      a.atthasdef or a.attidentity <> '' or a.attgenerated <> '' as given,
      (select string_agg(pg_get_constraintdef(k.oid), ' ') from pg_constraint k
        where k.conrelid = a.attrelid and k.contype = 'c' and a.attnum = any (k.conkey)) as checks
    from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
VALUES: dict[str, Any] = {
    "text": "x",
    "character varying": "x",
    "boolean": True,
    "smallint": 1,
    "integer": 1,
    "bigint": 1,
    "double precision": 1.0,
    "real": 1.0,
    "numeric": 1,
    "jsonb": "{}",
    "text[]": [],
    "uuid[]": [],
}


class CannotBuildRow(AssertionError):
    """A column of a type that this module does not know: teach it, so that the new table is tested."""


@dataclass(frozen=True)
class TableRow:
    """An INSERT for one row of one tenant."""

    table: str
    columns: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def statement(self) -> str:
        holes = ", ".join(f"${number}" for number in range(1, len(self.columns) + 1))
        return f"insert into {self.table} ({', '.join(self.columns)}) values ({holes})"


async def make_row(connection: Connection, table: str, tenant_column: str, tenant: UUID) -> TableRow:
    """This will build the smallest row that the table's own checks accept; foreign keys are not minded."""
    now = await connection.fetchval("select now()")
    found: dict[str, Any] = {}
    for column in await connection.fetch(COLUMNS, table):
        name = column["name"]
        if name == tenant_column:
            found[name] = tenant
        elif column["needed"] and not column["given"]:
            found[name] = _value(table, name, column["type"], column["checks"] or "", now)
    return TableRow(table, tuple(found), tuple(found.values()))


def _value(table: str, name: str, kind: str, checks: str, now: Any) -> Any:
    allowed = re.search(rf"{name}\b[^']*ANY \(ARRAY\['([^']+)'", checks) or re.search(rf"{name} = '([^']+)'", checks)
    if allowed:
        return allowed.group(1)
    if kind == "uuid":
        return new_id()
    if kind == "bytea":
        return os.urandom(32)
    if kind.startswith("timestamp"):
        return now
    if kind == "text":
        return f"x{new_id().hex[-8:]}"
    if kind in VALUES:
        return VALUES[kind]
    raise CannotBuildRow(f"{table}.{name} has the type {kind}")
