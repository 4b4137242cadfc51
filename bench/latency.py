"""From 202 to what it was sent for: the incident is there, the job has begun; idle, and at half of what the worker can do.

    python -m bench latency

Half load is a second tenant's single-alert deliveries at half the rate at which the worker has just worked off a pile of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from bench.figures import Report, Rounds, quantile
from bench.rig import BenchSource, Rig
from bench.sender import Connection, send_all
from bench.storm import webhook

PILE = 4000
PROBES = 200

_FOUND = (
    "select extract(epoch from j.started_at) from alerts a join deliveries d on d.tenant_id = a.tenant_id"
    " join jobs j on j.tenant_id = d.tenant_id and j.id = d.job_id"
    " where a.tenant_id = $1 and a.labels @> $2::jsonb and a.incident_id is not null and d.external_id = $3"
)
_LEFT = "select count(*) from deliveries where state = 'accepted'"


@dataclass
class Waits:
    """Milliseconds from the 202."""

    visible: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)


def run(options: argparse.Namespace) -> Report:
    """This will measure idle, then at half load."""
    report = Report("latency")
    probes = max(20, int(PROBES * options.scale))
    with Rig() as rig:
        probe, other = asyncio.run(_sources(rig))
        with (
            rig.api() as port,
            rig.running("workers.relay_main", log="relay"),
            rig.running("workers.main", log="worker"),
        ):
            asyncio.run(_probe(rig, port, probe, Waits(), probes=5))  # everybody has started
            idle, loaded = Waits(), Waits()
            asyncio.run(_probe(rig, port, probe, idle, probes=probes))
            rate = asyncio.run(_work_off_rate(rig, port, other, max(400, int(PILE * options.scale))))
            asyncio.run(_under_load(rig, port, probe, other, loaded, probes=probes, rate=rate / 2))
    print(f"  the worker works off {rate:.0f} single-alert deliveries a second; half load is half of that")
    report.detail["single_alert_deliveries_per_s"] = round(rate)
    for state, waits in (("idle", idle), ("half_load", loaded)):
        for what, values in (("visible", waits.visible), ("started", waits.started)):
            p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
            report.detail[f"{what}_{state}_ms"] = {"p50": round(p50, 1), "p99": round(p99, 1), "n": len(values)}
            print(f"  202 to {what}, {state}: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    report.add("visible_p99_ms", Rounds.of([quantile(idle.visible, 0.99)]), headline=True)
    report.add("started_p99_ms", Rounds.of([quantile(idle.started, 0.99)]), headline=True)
    return report


async def _sources(rig: Rig) -> tuple[BenchSource, BenchSource]:
    return (
        await rig.source(await rig.tenant("probe"), kind="alertmanager"),
        await rig.source(await rig.tenant("other"), kind="alertmanager"),
    )


async def _probe(rig: Rig, port: int, source: BenchSource, waits: Waits, *, probes: int) -> None:
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres"))
    for _ in range(probes):
        name = os.urandom(6).hex()
        request = webhook(source, [name], status="firing", starts=datetime.now(UTC), ends=None, serial=name)
        async with Connection(port) as sender:
            await sender.send(request)
        answered, clock = time.perf_counter(), time.time()
        arguments = (source.tenant_id, f'{{"instance": "{name}"}}', f"msg_{name}")
        while (started := await connection.fetchval(_FOUND, *arguments)) is None:
            await asyncio.sleep(0.002)
        waits.visible.append((time.perf_counter() - answered) * 1000)
        waits.started.append((float(started) - clock) * 1000)
        await asyncio.sleep(0.05)
    await connection.close()


async def _work_off_rate(rig: Rig, port: int, source: BenchSource, count: int) -> float:
    started = time.monotonic()
    await send_all(port, [_single(source) for _ in range(count)], connections=32)
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres"))
    while await connection.fetchval(_LEFT):
        await asyncio.sleep(0.05)
    await connection.close()
    return count / (time.monotonic() - started)


async def _under_load(
    rig: Rig, port: int, source: BenchSource, other: BenchSource, waits: Waits, *, probes: int, rate: float
) -> None:
    over = asyncio.Event()

    async def load() -> None:
        tick = 0.05
        while not over.is_set():
            started = time.monotonic()
            await send_all(port, [_single(other) for _ in range(max(1, int(rate * tick)))], connections=8)
            await asyncio.sleep(max(0.0, tick - (time.monotonic() - started)))

    loading = asyncio.create_task(load())
    await _probe(rig, port, source, waits, probes=probes)
    over.set()
    await loading


def _single(source: BenchSource) -> bytes:
    name = os.urandom(6).hex()
    return webhook(source, [name], status="firing", starts=datetime.now(UTC), ends=None, serial=name)
