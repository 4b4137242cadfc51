"""``tocsin demo`` and ``tocsin up``, as a user runs them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.db.migrate import ROOT
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port
from tests.fixtures.wait import wait_until

STEPS = 14


async def start(folder: Path, command: str, log: Path) -> asyncio.subprocess.Process:
    arguments = [command, "--data-dir", str(folder), "--port", str(free_port())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from app.cli import main; main()",
            *arguments,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@pytest.mark.timeout(240)
async def test_the_demo_sees_every_step_twice_and_up_ends_cleanly(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    try:
        for attempt in ("first", "second"):
            demo = await start(folder, "demo", log)
            assert await demo.wait() == 0, f"{attempt}: {log.read_text()[-4000:]}"
            said = log.read_text()
            assert said.count("✓") >= STEPS, said
            assert "✗" not in said
            assert ("are stored hashed and encrypted" in said) == (attempt == "first")
        await up_and_interrupt(folder, log)
    finally:
        EmbeddedPostgres(folder).destroy()


async def up_and_interrupt(folder: Path, log: Path) -> None:
    """``up`` stays, refuses a second one on its folder, and leaves no process behind after Ctrl-C."""
    up = await start(folder, "up", log)
    await wait_until(lambda: "Press Ctrl-C" in log.read_text(), timeout_s=90, every_s=0.2, what="up stays up")
    family = psutil.Process(up.pid).children(recursive=True)
    assert len(family) >= 7
    second_log = log.with_suffix(".second")
    second = await start(folder, "up", second_log)
    assert await second.wait() == 1
    assert f"in use by process {up.pid}" in second_log.read_text()
    up.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(up.wait(), 60) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
