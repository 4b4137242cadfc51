"""Does it stay fast? Intake, incident list, status change and search with 1,000 to 1,000,000 alerts of one tenant.

    python -m bench sizes

Each size has five deliveries an alert, ten alerts an incident, and a past case for each incident. Rows are made by the
database, as the superuser; what is measured goes through the API. The plans of the hot queries at the largest size are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from app.core.ids import TenantId
from app.db.tenancy import tenant_session
from app.enhancement.contract import ContextRequest
from app.enhancement.rules.entities import extract
from app.enhancement.rules.evidence import SourceKind
from app.enhancement.rules.text import signature_hash
from app.enhancement.service.cases import find_similar
from bench.figures import RESULTS, Report, Rounds, quantile
from bench.rig import BenchSource, Rig
from bench.sender import Connection
from bench.wrk import events, request_file, wrk

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PER_INCIDENT = 10
CALLS = 200
SEARCHES = 400
FILL = Path(__file__).parent / "sizes.sql"


def run(options: argparse.Namespace) -> Report:
    """This will fill the database step by step and measure at each."""
    report = Report("sizes")
    steps: list[dict[str, Any]] = []
    with Rig() as rig:
        source, token = asyncio.run(_tenant(rig))
        filled = 0
        with rig.api() as port:
            for size in (int(size * options.scale) for size in SIZES):
                asyncio.run(_fill(rig, source, filled, size))
                filled = size
                steps.append(asyncio.run(_measure(rig, port, source, token, size, options)))
                print("  " + "   ".join(f"{name} {value:g}" for name, value in steps[-1].items()), flush=True)
        plans = asyncio.run(_plans(rig, source))
        stored = asyncio.run(_bytes_a_row(rig))
    report.detail |= stored
    print("  " + "   ".join(f"{name} {value}" for name, value in stored.items()))
    report.detail["sizes"] = steps
    report.headline["sizes"] = steps
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "plans.txt").write_text(plans)
    base, last = steps[1], steps[-1]
    for key in ("ingest_per_s", "list_p95_ms", "change_p95_ms", "search_p95_ms"):
        report.add(f"{key}_growth", Rounds.of([last[key] / base[key]]))
        print(f"  {key}: {last[key] / base[key]:.2f} of what it was at {base['alerts']} alerts   within 20 %")
    print(f"  sequential scans in the plans: {plans.count('Seq Scan')}   (see bench/results/plans.txt)")
    return report


async def _tenant(rig: Rig) -> tuple[BenchSource, str]:
    tenant = await rig.tenant("bench")
    return await rig.source(tenant), await rig.admin_token(tenant)


async def _fill(rig: Rig, source: BenchSource, first: int, last: int) -> None:
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres"))
    source_id = await connection.fetchval("select id from sources where tenant_id = $1", source.tenant_id)
    # Rows that only stand there: the catalogue of foreign keys need not look at each.
    await connection.execute("set session_replication_role = replica")
    for statement in FILL.read_text().split(";\n"):
        if statement.strip():
            await connection.execute(statement, source.tenant_id, source_id, first, last, timeout=1800)
    await connection.execute("vacuum (analyze)", timeout=1800)
    # Or else what was just loaded is written out while the next is measured, the more of it the larger the size.
    await connection.execute("checkpoint", timeout=1800)
    await connection.close()


async def _measure(
    rig: Rig, port: int, source: BenchSource, token: str, size: int, options: argparse.Namespace
) -> dict[str, Any]:
    with request_file(events(source.path, source.secret), int(16_000 * (options.seconds + 1))) as requests:
        load = wrk(port, requests, connections=options.connections, seconds=options.seconds)
    listed = await _calls(port, token, [("GET", "/v1/incidents?limit=50")] * CALLS)
    ids = await rig.fetch(
        "select id from incidents where tenant_id = $1 and state = 'open' order by random() limit $2",
        source.tenant_id,
        CALLS,
    )
    changed = await _calls(port, token, [("POST", f"/v1/incidents/{row[0]}/acknowledge") for row in ids])
    searched = await _search(rig, source.tenant_id)
    return {
        "alerts": size,
        "ingest_per_s": round(load.rate),
        "list_p95_ms": round(quantile(listed, 0.95), 1),
        "change_p95_ms": round(quantile(changed, 0.95), 1),
        "search_p95_ms": round(quantile(searched, 0.95), 1),
    }


async def _calls(port: int, token: str, calls: list[tuple[str, str]]) -> list[float]:
    times = []
    async with Connection(port) as connection:
        for method, path in calls:
            key = f"Idempotency-Key: {os.urandom(8).hex()}\r\n" if method == "POST" else ""
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{key}Content-Length: 0\r\n\r\n"
            answer = await connection.send(head.encode())
            if answer.status != 200:
                raise SystemExit(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
            times.append(answer.seconds * 1000)
    return times[len(times) // 10 :]  # the first ones warm the caches


async def _search(rig: Rig, tenant_id: TenantId) -> list[float]:
    """Milliseconds of finding the similar past incidents of a new one."""
    times = []
    async with rig.database() as database:
        for number in range(SEARCHES):
            title = f"Queue of service svc{number % 97} is deep on host h{number % 31}"
            request = ContextRequest(
                title=title,
                body="The consumer does not keep up and the queue grows",
                entities=extract(title),
                signature_hash=signature_hash(title),
                exclude=frozenset(),
                limit=10,
                now=datetime.now(UTC),
            )
            started = time.perf_counter()
            async with tenant_session(database, tenant_id) as session:
                found = await find_similar(session, kind=SourceKind.INCIDENT, request=request, window=500)
            times.append((time.perf_counter() - started) * 1000)
            if not found:
                raise SystemExit(f"nothing similar to {title!r} was found")
    return times[len(times) // 20 :]


async def _bytes_a_row(rig: Rig) -> dict[str, int]:
    """Bytes on disk of a row with its indexes; a delivery's body comes on top."""
    found = {}
    for table in ("alerts", "incidents", "deliveries"):
        rows = await rig.fetch(
            f"select coalesce((select sum(pg_total_relation_size(relid)) from pg_partition_tree('{table}') where isleaf),"
            f" pg_total_relation_size('{table}')) / greatest(1, (select count(*) from {table}))"
        )
        found[f"bytes_per_row_{table}"] = int(rows[0][0])
    return found


async def _plans(rig: Rig, source: BenchSource) -> str:
    """The plans of the statements behind what was measured, as the application's role in the tenant's transaction."""
    connection = await asyncpg.connect(rig.postgres.dsn_for("tocsin_app"))
    text = ""
    async with connection.transaction():
        await connection.execute("select set_config('app.current_tenant_id', $1, true)", str(source.tenant_id))
        for name, statement in _HOT.items():
            some: UUID = await connection.fetchval("select id from incidents where state = 'open' limit 1")
            rows = await connection.fetch(
                f"explain (analyze, buffers) {statement.format(id=some, tenant=source.tenant_id)}"
            )
            text += f"-- {name}\n" + "\n".join(row[0] for row in rows) + "\n\n"
    await connection.close()
    return text


_HOT = {
    "a page of incidents": "select * from incidents where tenant_id = '{tenant}' order by id desc limit 51",
    "a page of open incidents": (
        "select * from incidents where tenant_id = '{tenant}' and state = 'open' order by id desc limit 51"
    ),
    "one incident, to change it": "select * from incidents where tenant_id = '{tenant}' and id = '{id}' for update",
    "an incident's alerts": (
        "select * from alerts where tenant_id = '{tenant}' and incident_id = '{id}' order by id limit 51"
    ),
    "an incident's timeline": (
        "select * from timeline_entries where tenant_id = '{tenant}' and incident_id = '{id}' order by id limit 51"
    ),
    "the open alert of a key": (
        "select * from alerts where tenant_id = '{tenant}' and status = 'firing' and dedup_key = 'key-77' limit 1"
    ),
    "deliveries that wait": (
        "select id from deliveries where tenant_id = '{tenant}' and shard = 0 and state = 'accepted'"
        " order by stored_at limit 1"
    ),
    "a page of a source's deliveries": (
        "select id from deliveries where tenant_id = '{tenant}' and source_id ="
        " (select id from sources where tenant_id = '{tenant}' limit 1) order by id desc limit 51"
    ),
}
