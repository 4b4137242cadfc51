"""Flame graphs of the intake and of a worker under load, as ``docs/images/flame-*.svg``: ``python -m bench.flame``.

Needs py-spy on the PATH (``pip install py-spy``), and root or ptrace rights.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import threading
import time

from app.db.migrate import ROOT
from app.embedded.valkey import free_port
from bench import ingest, storm
from bench.rig import Rig, wait_for_port
from bench.sender import send_all
from bench.wrk import events, request_file, wrk

IMAGES = ROOT / "docs" / "images"
SECONDS = 6


def main() -> None:
    """This will draw both."""
    argparse.ArgumentParser(prog="python -m bench.flame", description=__doc__).parse_args()
    if shutil.which("py-spy") is None:
        raise SystemExit("py-spy is missing: pip install py-spy")
    with Rig() as rig:
        port = free_port()
        command = ("uvicorn", "app.main:create_app", "--factory", "--port", str(port), "--no-access-log")
        with rig.running(*command, "--log-level", "warning", log="api") as api:
            wait_for_port(port)
            _intake(rig, port, api.pid)
            _worker(rig, port)


def _intake(rig: Rig, port: int, pid: int) -> None:
    source = asyncio.run(ingest.one_source(rig))
    with request_file(events(source.path, source.secret), 150_000) as requests:
        drawing = _draw(pid, "intake")
        wrk(port, requests, connections=128, seconds=SECONDS + 3)
    drawing.join()


def _worker(rig: Rig, port: int) -> None:
    sources, _ = asyncio.run(storm.make_sources(rig))
    requests = [request for source in sources for request in storm.deliveries(source, 2000)]
    asyncio.run(send_all(port, requests, connections=64))
    with rig.running("workers.main", log="worker") as worker, rig.running("workers.relay_main", log="relay"):
        time.sleep(4)
        _draw(worker.pid, "worker").join()


def _draw(pid: int, name: str) -> threading.Thread:
    IMAGES.mkdir(parents=True, exist_ok=True)
    command = ["py-spy", "record", "--pid", str(pid), "--duration", str(SECONDS), "--rate", "200", "--gil"]
    arguments = [*command, "--format", "flamegraph", "--output", f"flame-{name}.svg"]

    def run() -> None:
        time.sleep(1)
        subprocess.run(arguments, cwd=IMAGES, check=True, capture_output=True)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


if __name__ == "__main__":
    main()
