"""What the whole embedded stack costs to have: memory when idle, and the time of a second start.

    python -m bench footprint

Runs ``tocsin demo`` once in an empty folder, then ``tocsin up`` again on it: until it is ready, and then the resident memory of
every process of it. PostgreSQL's shared pages are counted once (proportional set size). The processor time until it is ready says
how much there is to do, also on a machine that does other things; both are kept for each process besides.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.db.migrate import ROOT
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port
from bench.figures import Report, Rounds

SETTLE_S = 8.0
# What a process of the stack is, by what stands in its command line.
PARTS = {
    "up": "app.cli",
    "api": "app.main",
    "relay": "workers.relay_main",
    "worker": "workers.main",
    "smtp": "app.smtp",
    "desk": "app.embedded.desk",
    "service": "app.embedded.breakable",
    "postgres": "postgres",
    "valkey": "valkey",
}


@dataclass(frozen=True)
class _Start:
    """One second start: seconds to ready, and by part the processor time until then and the memory afterwards."""

    seconds: float
    processor_s: dict[str, float]
    memory_mb: dict[str, float]


def run(options: argparse.Namespace) -> Report:
    """This will measure several second starts, and memory at the end of each."""
    report = Report("footprint")
    starts: list[_Start] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as name:
        folder = Path(name) / "data"
        try:
            _tocsin("demo", folder, Path(name) / "log").wait(120)
            for _ in range(options.rounds):
                starts.append(_second_start(folder, Path(name) / "log"))
        finally:
            EmbeddedPostgres(folder).destroy()
    ready = Rounds.of([start.seconds for start in starts])
    processor = Rounds.of([sum(start.processor_s.values()) for start in starts])
    memory = Rounds.of([sum(start.memory_mb.values()) for start in starts])
    report.add("second_start_s", ready, headline=True)
    report.add("second_start_processor_s", processor)
    report.add("idle_rss_mb", memory, headline=True)
    print(f"  second start to ready: {ready:.1f} s   aim under 5   processor time {processor:.1f} s")
    print(f"  idle memory of the whole stack: {memory:.0f} MiB   aim under 700")
    for part in starts[0].memory_mb:
        seconds = Rounds.of([start.processor_s.get(part, 0.0) for start in starts])
        size = Rounds.of([start.memory_mb.get(part, 0.0) for start in starts])
        report.add(f"{part}_start_processor_s", seconds)
        report.add(f"{part}_idle_mb", size)
        print(f"    {part:<10} {seconds.median:5.2f} s {size.median:5.0f} MiB")
    return report


def _second_start(folder: Path, log: Path) -> _Start:
    started = time.monotonic()
    process = _tocsin("up", folder, log)
    while "are ready" not in log.read_text() and process.poll() is None:
        time.sleep(0.02)
    seconds = time.monotonic() - started
    supervisor = psutil.Process(process.pid)
    processor = _by_part(supervisor, lambda member: sum(member.cpu_times()[:2]))
    while "Press Ctrl-C" not in log.read_text() and process.poll() is None:
        time.sleep(0.1)
    if process.poll() is not None:
        raise SystemExit(f"tocsin up ended early:\n{log.read_text()[-2000:]}")
    time.sleep(SETTLE_S)
    memory = _by_part(supervisor, lambda member: member.memory_full_info().pss / 2**20)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    return _Start(seconds, processor, memory)


def _by_part(supervisor: psutil.Process, measure: Callable[[psutil.Process], float]) -> dict[str, float]:
    """Sum a figure of the stack's processes by what they are."""
    sums: dict[str, float] = {}
    for member in [supervisor, *supervisor.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL's come and go
            line = " ".join(member.cmdline())
            part = next((name for name, mark in PARTS.items() if mark in line), "other")
            sums[part] = sums.get(part, 0.0) + measure(member)
    return sums


def _tocsin(command: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", "from app.cli import main; main()", command]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*arguments, "--data-dir", str(folder), "--port", str(free_port())],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
