"""A storm: 100,000 alerts of 50 tenants, half of them repeats and a quarter resolves, through one worker.

    python -m bench storm

The deliveries come in first, over HTTP and signed, while the intake is paused; then one relay and one worker work them off while
a quiet tenant goes on sending. Counted at the end: every alert that was sent has left its trace, and memory stayed where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import psutil

from bench.figures import Report, Rounds, quantile
from bench.rig import BenchSource, Rig, resident_mib
from bench.sender import Answer, Connection, send_all
from bench.wrk import signed_request

ALERTS, TENANTS = 100_000, 50
PER_DELIVERY = 10
QUIET_EVERY_S = 0.1

_PAUSE = "select tocsin_private.set_queue_pause('intake', 'the storm gathers', $1)"
# Asked while the clock runs, so it must cost nothing: counting what is left took a tenth of the machine.
_STATE = """
select exists (select from deliveries where tenant_id <> $1 and state = 'processed'),
  exists (select from deliveries where tenant_id <> $1 and state = 'accepted')
"""


@dataclass
class Quiet:
    """The tenant that must not notice: its waits, in seconds."""

    source: BenchSource
    accepted: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)


def run(options: argparse.Namespace) -> Report:
    """This will measure one storm; rounds are not repeated, it is long enough."""
    report = Report("storm")
    per_tenant = max(40, int(ALERTS * options.scale) // TENANTS)
    with Rig() as rig:
        sources, quiet = asyncio.run(make_sources(rig))
        with rig.api() as port, rig.running("workers.relay_main", log="relay"):
            requests = [request for source in sources for request in deliveries(source, per_tenant)]
            random.Random(5).shuffle(requests)
            with rig.running("workers.main", log="worker") as worker:
                asyncio.run(quiet_for(rig, port, Quiet(quiet), seconds=4))  # everybody has started
                idle, stormy = Quiet(quiet), Quiet(quiet)
                asyncio.run(quiet_for(rig, port, idle, seconds=20))
                asyncio.run(rig.fetch(_PAUSE, True))
                started = time.monotonic()
                answers = asyncio.run(send_all(port, requests, connections=64))
                sent_s = time.monotonic() - started
                asyncio.run(rig.fetch(_PAUSE, False))
                before = rig.postgres_cpu_s()
                seconds, memory = asyncio.run(_work_off(rig, port, worker, stormy))
                server_us = (rig.postgres_cpu_s() - before) * 1e6 / (per_tenant * TENANTS)
        found = asyncio.run(_account(rig, quiet))
    _conclude(report, per_tenant * TENANTS, seconds, sent_s, memory, found, answers)
    report.detail["postgres_cpu_us_per_alert"] = round(server_us, 1)
    print(f"  PostgreSQL's processor time: {server_us:.0f} microseconds an alert")
    _compare(report, idle, stormy)
    return report


def deliveries(source: BenchSource, alerts: int) -> Iterator[bytes]:
    """This will make one tenant's deliveries: each alert fires, is repeated twice and resolves, in four rounds."""
    distinct, base, run = alerts // 4, datetime.now(UTC) - timedelta(minutes=30), os.urandom(3).hex()
    for turn in range(4):
        status, at = ("resolved" if turn == 3 else "firing"), base + timedelta(minutes=turn)
        for first in range(0, distinct, PER_DELIVERY):
            names = [f"{run}-{number}" for number in range(first, min(first + PER_DELIVERY, distinct))]
            yield webhook(
                source, names, status=status, starts=base, ends=at if turn == 3 else None, serial=f"{run}{turn}{first}"
            )


def webhook(
    source: BenchSource, names: list[str], *, status: str, starts: datetime, ends: datetime | None, serial: str
) -> bytes:
    """This will return one signed Alertmanager notification."""
    never = "0001-01-01T00:00:00Z"
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "QueueDeep", "instance": name, "severity": "critical"},
            "annotations": {"summary": f"Queue of {name} is deep"},
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat() if ends else never,
            "fingerprint": hashlib.blake2b(name.encode(), digest_size=8).hexdigest(),
        }
        for name in names
    ]
    shared: dict[str, Any] = {"version": "4", "status": status, "receiver": "bench", "groupKey": "{}:{}"}
    shared |= {
        "groupLabels": {"alertname": "QueueDeep"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "",
    }
    body = orjson.dumps({**shared, "alerts": alerts})
    return signed_request(source.path, source.secret, body, f"msg_{serial}", stamp=int(time.time()))


async def make_sources(rig: Rig) -> tuple[list[BenchSource], BenchSource]:
    sources = [await rig.source(await rig.tenant(f"storm-{number}"), kind="alertmanager") for number in range(TENANTS)]
    return sources, await rig.source(await rig.tenant("quiet"), kind="alertmanager")


async def _work_off(rig: Rig, port: int, worker: psutil.Process, quiet: Quiet) -> tuple[float, float]:
    """Seconds from the worker's first work to the last delivery, and the most memory it had."""
    over = asyncio.Event()
    probing = asyncio.create_task(_probe(rig, port, quiet, over))
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres"))
    started, memory, is_left = 0.0, 0.0, True
    while is_left:
        has_begun, is_left = (await connection.fetch(_STATE, quiet.source.tenant_id))[0]
        if has_begun and not started:
            started = time.monotonic()
        memory = max(memory, resident_mib([worker]))
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - started
    await connection.close()
    over.set()
    await probing
    return seconds, memory


async def quiet_for(rig: Rig, port: int, quiet: Quiet, *, seconds: float, after_s: float = 0.0) -> None:
    """This will send the quiet tenant's alerts, one after the other, for so long."""
    await asyncio.sleep(after_s)
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await _probe(rig, port, quiet, over)


async def _probe(rig: Rig, port: int, quiet: Quiet, over: asyncio.Event) -> None:
    """Send one alert at a time and wait until it is an alert in the database."""
    connection = await asyncpg.connect(rig.postgres.dsn_for("postgres"))
    while not over.is_set():
        name = os.urandom(6).hex()
        request = webhook(quiet.source, [name], status="firing", starts=datetime.now(UTC), ends=None, serial=name)
        async with Connection(port) as sender:
            started = time.perf_counter()
            answer = await sender.send(request)
        quiet.accepted.append(answer.seconds)
        while not await connection.fetchval(_VISIBLE, quiet.source.tenant_id, f'{{"instance": "{name}"}}'):
            await asyncio.sleep(0.004)  # what is waited for happens in another process
        quiet.visible.append(time.perf_counter() - started)
        await asyncio.sleep(QUIET_EVERY_S)
    await connection.close()


_VISIBLE = "select 1 from alerts where tenant_id = $1 and labels @> $2::jsonb and incident_id is not null limit 1"


async def _account(rig: Rig, quiet: BenchSource) -> dict[str, int]:
    rows = await rig.fetch(
        "select (select count(*) from deliveries where tenant_id <> $1) as deliveries,"
        " (select count(*) from deliveries where tenant_id <> $1 and state = 'processed') as processed,"
        " (select sum((o.value)::int) from deliveries d, jsonb_each(d.result -> 'outcomes') o where d.tenant_id <> $1)"
        " as outcomes,"
        " (select count(*) from alerts where tenant_id <> $1) as alerts,"
        " (select count(*) from alerts where tenant_id <> $1 and status = 'resolved') as resolved,"
        " (select count(*) from incidents where tenant_id <> $1) as incidents,"
        " (select count(*) from incidents where tenant_id <> $1 and state = 'resolved') as incidents_resolved,"
        " (select count(*) from jobs where state in ('dead', 'failed')) as dead_jobs",
        quiet.tenant_id,
    )
    return dict(rows[0])


def _conclude(
    report: Report,
    alerts: int,
    seconds: float,
    sent_s: float,
    memory: float,
    found: dict[str, int],
    answers: list[Answer],
) -> None:
    rate = alerts / seconds
    report.headline["storm_alerts_per_s_per_worker"] = round(rate)
    accepted = sum(answer.status == 202 for answer in answers)
    report.detail |= {"alerts": alerts, "seconds": round(seconds, 1), "sent_in_s": round(sent_s, 1), "found": found}
    report.detail |= {"worker_peak_mib": round(memory), "answered_202": accepted, "deliveries_sent": len(answers)}
    # Each alert of each delivery has its outcome; a resolve that overtook its firing leaves no alert, and none stays open.
    complete = found["processed"] == accepted == len(answers) and found["outcomes"] == alerts
    complete &= (
        found["alerts"] == found["resolved"] <= alerts // 4 and found["incidents"] == found["incidents_resolved"]
    )
    report.detail["accounted_for"] = complete
    print(f"  {rate:.0f} alerts/s per worker   at least 2,000, aim 5,000   (taken in at {alerts / sent_s:.0f}/s)")
    print(f"  worker's memory at most {memory:.0f} MiB; every alert accounted for: {complete}   {found}")


def _compare(report: Report, idle: Quiet, stormy: Quiet) -> None:
    for name, before, during in (
        ("accepted", idle.accepted, stormy.accepted),
        ("visible", idle.visible, stormy.visible),
    ):
        p99_idle, p99_storm = quantile(before, 0.99) * 1000, quantile(during, 0.99) * 1000
        report.add(f"quiet_{name}_idle_p99_ms", Rounds.of([p99_idle]))
        report.add(f"quiet_{name}_storm_p99_ms", Rounds.of([p99_storm]))
        report.add(f"quiet_{name}_storm_p50_ms", Rounds.of([quantile(during, 0.5) * 1000]))
        report.headline[f"quiet_{name}_p99_ratio"] = round(p99_storm / p99_idle, 2)
        print(
            f"  quiet tenant, {name}: p99 {p99_idle:.0f} ms idle, {p99_storm:.0f} ms in the storm, {p99_storm / p99_idle:.1f} x"
            f"   within 3 x   (p50 in the storm {quantile(during, 0.5) * 1000:.0f} ms)"
        )
