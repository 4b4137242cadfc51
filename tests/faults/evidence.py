"""What the checker judges: the sender's log, the database as a superuser sees it, what arrived at the targets, samples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.audit.service import VerifyReport, verify_chain
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from tests.faults.sender import Log
from tests.faults.sink import Call

Row = dict[str, Any]

_QUERIES = {
    "deliveries": "select id, source_id, external_id, encode(body_sha256, 'hex') as sha, state, reason from deliveries",
    "alerts": "select id, source_id, dedup_key, status, count, incident_id from alerts",
    "heads": "select source_id, dedup_key, status, event_at from alert_heads",
    "incidents": "select id, state, title from incidents",
    "effects": "select effect_key, kind, target, state, request ->> 'run_id' as run_id, intents from effects",
    "targets": "select id, name from targets",
    "jobs": (
        "select id, kind, state, attempt, max_attempts, error, parked,"
        " extract(epoch from clock_timestamp() - coalesce(lease_until, published_at, run_at)) as overdue_s from jobs"
    ),
    "runs": "select id, state, outcome, reason_code, reason, incident_id from runs",
}
_LEAKS = """
select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and not c.relispartition
"""


@dataclass(frozen=True)
class Samples:
    """The largest seen of what has to stay bounded (I8).

    Attributes:
        disk_mb: What the database has grown by since its tenants were made.
    """

    connections: int = 0
    rss_mb: float = 0.0
    valkey_mb: float = 0.0
    metric_series: int = 0
    disk_mb: float = 0.0


@dataclass
class TenantEvidence:
    """One tenant's rows, and the tag that all its names carry.

    Attributes:
        keyed: Services whose target absorbs a repeat with the same key.
        leaks: Tables in which a row of this tenant speaks of another one.
        notes: Ticket number to the notes that Tocsin wrote there.
    """

    tenant_id: TenantId
    tag: str
    rows: dict[str, list[Row]]
    audit: VerifyReport
    leaks: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    keyed: frozenset[str] = frozenset()


@dataclass
class Evidence:
    """Everything of one run.

    Attributes:
        explained: Parts of errors with which jobs were meant to end, because of what the run did.
    """

    log: Log
    calls: list[Call]
    tenants: list[TenantEvidence]
    samples: Samples = field(default_factory=Samples)
    settled: bool = True
    explained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Watched:
    """A tenant to collect evidence of."""

    tenant_id: TenantId
    tag: str
    keyed: frozenset[str] = frozenset()


async def collect(
    superuser: Any,
    database: Database,
    watched: Sequence[Watched],
    *,
    log: Log,
    calls: list[Call],
    notes: dict[str, list[str]],
    samples: Samples,
    settled: bool = True,
    explained: tuple[str, ...] = (),
) -> Evidence:
    """This will read everything there is about the tenants.

    Args:
        superuser: An asyncpg connection that sees all rows.
        database: As the application, for the audit chain.
        watched: The tenants of the run.
        log: The sender's.
        calls: The sink's.
        notes: Ticket number to notes, of all tenants.
        samples: What was measured meanwhile.
        settled: Whether the run came to rest in its time.
        explained: Parts of errors with which jobs were meant to end.
    """
    tenants = []
    for tenant in watched:
        rows = {
            name: [dict(row) for row in await superuser.fetch(f"{query} where tenant_id = $1", tenant.tenant_id)]
            for name, query in _QUERIES.items()
        }
        async with tenant_session(database, tenant.tenant_id) as session:
            audit = await verify_chain(session)
        others = [other for other in watched if other.tenant_id != tenant.tenant_id]
        tenants.append(
            TenantEvidence(
                tenant.tenant_id,
                tenant.tag,
                rows,
                audit,
                leaks=await _leaks(superuser, tenant, others),
                notes={number: found for number, found in notes.items() if number.startswith(tenant.tag)},
                keyed=tenant.keyed,
            )
        )
    return Evidence(log, list(calls), tenants, samples, settled, explained)


async def _leaks(superuser: Any, tenant: Watched, others: Sequence[Watched]) -> list[str]:
    """Tables in which this tenant's rows hold another tenant's id or tag, raw bodies included."""
    tables = [row["relname"] for row in await superuser.fetch(_LEAKS)] if others else []
    found = []
    for other in others:
        signs = [str(other.tenant_id), other.tag, other.tag.encode().hex()]
        patterns = [f"%{sign}%" for sign in signs]
        # Where the other's tag is a part of the tenant's own, its own is no sign of the other.
        own = f"({tenant.tag}|{tenant.tag.encode().hex()})" if other.tag in tenant.tag else "^$"
        for table in tables:
            statement = (
                f'select count(*) from "{table}" t where t.tenant_id = $1'
                " and regexp_replace(t::text, $3, '', 'g') like any($2::text[])"
            )
            if await superuser.fetchval(statement, tenant.tenant_id, patterns, own):
                found.append(table)
    return found


def sha_of(body: bytes) -> str:
    """This will hash a body as the intake does."""
    return hashlib.sha256(body).hexdigest()
