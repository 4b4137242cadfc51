"""What the whole embedded stack costs to have: memory when idle, and the time of a second start.

    python -m bench footprint

Runs ``tocsin demo`` once in an empty folder, then ``tocsin up`` again on it: until it is ready, and then the resident memory of
every process of it. PostgreSQL's shared pages are counted once (proportional set size).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from app.db.migrate import ROOT
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port
from bench.figures import Report, Rounds

SETTLE_S = 8.0


def run(options: argparse.Namespace) -> Report:
    """This will measure several second starts, and memory at the end of each."""
    report = Report("footprint")
    starts: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as name:
        folder = Path(name) / "data"
        try:
            _tocsin("demo", folder, Path(name) / "log").wait(120)
            for _ in range(options.rounds):
                seconds, size = _second_start(folder, Path(name) / "log")
                starts.append(seconds)
                memory.append(size)
        finally:
            EmbeddedPostgres(folder).destroy()
    report.add("second_start_s", Rounds.of(starts), headline=True)
    report.add("idle_rss_mb", Rounds.of(memory), headline=True)
    print(f"  second start to ready: {Rounds.of(starts):.1f} s   aim under 5")
    print(f"  idle memory of the whole stack: {Rounds.of(memory):.0f} MiB   aim under 700")
    return report


def _second_start(folder: Path, log: Path) -> tuple[float, float]:
    started = time.monotonic()
    process = _tocsin("up", folder, log)
    while "are ready" not in log.read_text() and process.poll() is None:
        time.sleep(0.02)
    seconds = time.monotonic() - started
    while "Press Ctrl-C" not in log.read_text() and process.poll() is None:
        time.sleep(0.1)
    if process.poll() is not None:
        raise SystemExit(f"tocsin up ended early:\n{log.read_text()[-2000:]}")
    time.sleep(SETTLE_S)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    size = sum(member.memory_full_info().pss for member in family) / 2**20
    process.send_signal(signal.SIGINT)
    process.wait(60)
    return seconds, size


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
