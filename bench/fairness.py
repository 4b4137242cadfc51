"""One tenant at ten times its load: what another tenant notices of it, accepted and visible.

    python -m bench fairness

A quiet tenant sends one alert after the other, each awaited until it is in the database: alone, then beside a loud tenant that
sends as much as its limit allows, then beside one that sends ten times that. The ratio is that of the last to the first two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys

from app.db.migrate import ROOT
from bench.figures import Report, Rounds, quantile
from bench.rig import BenchSource, Rig
from bench.storm import Quiet, quiet_for

LOUD_PER_S = 50.0
TIMES = 10
SECONDS = 20.0
LIMITS = {
    "TOCSIN_LIMITS__TENANT_DELIVERIES_PER_S": str(LOUD_PER_S),
    "TOCSIN_LIMITS__BURST_S": "2",
    "TOCSIN_LIMITS__TENANT_ALERTS_PER_MIN": "0",
}


def run(options: argparse.Namespace) -> Report:
    """This will measure the three loads, one after the other, as often as asked."""
    report = Report("fairness")
    found: dict[str, list[Quiet]] = {"idle": [], "once": [], "tenfold": []}
    statuses: list[dict[str, int]] = []
    seconds = max(4.0, SECONDS * options.scale)
    with Rig() as rig:
        quiet, loud = asyncio.run(_sources(rig))
        with (
            rig.api(extra=LIMITS) as port,
            rig.running("workers.relay_main", log="relay", extra=LIMITS),
            rig.running("workers.main", log="worker", extra=LIMITS),
        ):
            asyncio.run(quiet_for(rig, port, Quiet(quiet), seconds=4))  # everybody has started
            for _ in range(options.rounds):
                for load, rate in (("idle", 0.0), ("once", LOUD_PER_S), ("tenfold", LOUD_PER_S * TIMES)):
                    waits = Quiet(quiet)
                    statuses.append(_beside(rig, port, waits, loud, rate=rate, seconds=seconds))
                    found[load].append(waits)
    report.detail["answers"] = statuses
    for what in ("accepted", "visible"):
        _conclude(report, what, {load: [getattr(waits, what) for waits in rounds] for load, rounds in found.items()})
    return report


def _beside(rig: Rig, port: int, quiet: Quiet, loud: BenchSource, *, rate: float, seconds: float) -> dict[str, int]:
    """Probe while the loud tenant sends at the rate; what it was answered comes back."""
    if not rate:
        asyncio.run(quiet_for(rig, port, quiet, seconds=seconds))
        return {}
    arguments = ["--port", str(port), "--path", loud.path, "--secret", loud.secret]
    arguments += ["--rate", str(rate), "--seconds", str(seconds + 1)]
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.flood", *arguments], cwd=ROOT, env=rig.environment, stdout=subprocess.PIPE
    )
    asyncio.run(quiet_for(rig, port, quiet, seconds=seconds, after_s=1.0))
    output, _ = flood.communicate(timeout=60)
    answered: dict[str, int] = json.loads(output)
    return answered


async def _sources(rig: Rig) -> tuple[BenchSource, BenchSource]:
    return (
        await rig.source(await rig.tenant("quiet"), kind="alertmanager"),
        await rig.source(await rig.tenant("loud"), kind="alertmanager"),
    )


def _conclude(report: Report, what: str, waits: dict[str, list[list[float]]]) -> None:
    p99 = {load: Rounds.of([quantile(values, 0.99) * 1000 for values in rounds]) for load, rounds in waits.items()}
    p50 = {load: Rounds.of([quantile(values, 0.5) * 1000 for values in rounds]) for load, rounds in waits.items()}
    for load in waits:
        report.add(f"{what}_{load}_p99_ms", p99[load])
        report.add(f"{what}_{load}_p50_ms", p50[load])
    to_idle = Rounds.of([ten / idle for ten, idle in zip(p99["tenfold"].values, p99["idle"].values, strict=True)])
    to_once = Rounds.of([ten / once for ten, once in zip(p99["tenfold"].values, p99["once"].values, strict=True)])
    report.add(f"fairness_{what}_ratio", to_once, headline=True)
    report.add(f"fairness_{what}_ratio_to_idle", to_idle, headline=True)
    print(
        f"  quiet tenant, {what}: p99 {p99['idle']:.1f} ms alone, {p99['once']:.1f} ms beside the load,"
        f" {p99['tenfold']:.1f} ms beside ten times it: {to_once:.2f} x, {to_idle:.2f} x of alone   within 3 x"
        f"   (p50 {p50['idle']:.1f}, {p50['once']:.1f}, {p50['tenfold']:.1f} ms)"
    )
