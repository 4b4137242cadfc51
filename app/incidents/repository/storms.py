"""What tells a flood, and the storms that floods went into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Uuid, any_, literal, select, text

from app.db.tenancy import TenantSession
from app.incidents.models import OPEN, StormRow

# One round trip for all of it, each part bounded: what lies beyond the bound is a flood whatever its size.
_SURVEY = text(f"""
select
  (select count(*) from (
    select 1 from incidents where tenant_id = :tenant_id and source_id = :source_id and {OPEN} limit :most_open) o),
  w.opened, w.p0_opened, w.tenant_opened,
  (select incident_id from storms where tenant_id = :tenant_id and source_id = :source_id and ended_at is null),
  (select incident_id from storms where tenant_id = :tenant_id and source_id is null and ended_at is null)
from (
  select count(*) filter (where source_id = :source_id) as opened,
    count(*) filter (where source_id = :source_id and severity = 'P0') as p0_opened, count(*) as tenant_opened
  from (
    select source_id, severity from incidents where tenant_id = :tenant_id and created_at > :since
    order by created_at desc limit :tenant_opens) r
) w
""")  # noqa: S608 - a constant
_COLUMNS = {
    "incident_id": "uuid",
    "source_id": "uuid",
    "began_at": "timestamptz",
    "ended_at": "timestamptz",
    "busy_at": "timestamptz",
    "window_began_at": "timestamptz",
    "window_count": "bigint",
    "times": "integer",
    "collapsed": "bigint",
    "firing_p0": "bigint",
    "firing_p1": "bigint",
    "firing_p2": "bigint",
    "firing_p3": "bigint",
    "top": "jsonb",
}
_FIELDS = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
_ROWS = f"jsonb_to_recordset(cast(:rows as jsonb)) as r({_FIELDS})"
_INSERT = text(
    f"insert into storms (tenant_id, {', '.join(_COLUMNS)})"  # noqa: S608 - constants above
    f" select :tenant_id, {', '.join(f'r.{name}' for name in _COLUMNS)} from {_ROWS}"
)
_UPDATE = text(
    f"update storms t set {', '.join(f'{name} = r.{name}' for name in _COLUMNS if name != 'incident_id')}"  # noqa: S608
    f" from {_ROWS} where t.tenant_id = :tenant_id and t.incident_id = r.incident_id"
)


@dataclass(frozen=True)
class Survey:
    """What a source has open, what was opened of late, and the incidents of the storms that go on."""

    open_now: int
    opened: int
    p0_opened: int
    tenant_opened: int
    source_storm: UUID | None
    tenant_storm: UUID | None


async def survey(
    session: TenantSession, *, source_id: UUID, since: datetime, most_open: int, tenant_opens: int
) -> Survey:
    """This will look without a lock; who needs to be sure looks again under the lock of the flood's group."""
    values = {"tenant_id": session.tenant_id, "source_id": source_id, "since": since}
    limits = {"most_open": most_open, "tenant_opens": tenant_opens}
    return Survey(*(await session.execute(_SURVEY, values | limits)).one())


async def load_storms(session: TenantSession, *, incident_ids: Sequence[UUID]) -> Sequence[StormRow]:
    """This will read the storms of locked incidents."""
    query = (
        select(StormRow)
        .where(
            StormRow.tenant_id == session.tenant_id,
            StormRow.incident_id == any_(literal(list(incident_ids), ARRAY(Uuid))),
        )
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def insert_storms(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will write the storms of new storm incidents."""
    await _write(session, _INSERT, rows)


async def update_storms(session: TenantSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """This will overwrite the storms of locked incidents."""
    await _write(session, _UPDATE, rows)


async def _write(session: TenantSession, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        await session.execute(
            statement, {"tenant_id": session.tenant_id, "rows": orjson.dumps(rows, default=str).decode()}
        )
