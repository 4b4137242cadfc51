"""``tocsin demo`` and ``tocsin up``, as a user runs them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest

from app.db.migrate import ROOT
from app.embedded.demo import Demo, StepNotSeen
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import free_port
from tests.fixtures.wait import wait_until

if TYPE_CHECKING:
    from app.embedded.seed import DemoState
    from app.embedded.stack import Stack

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


class Told:
    """A narrator that remembers what was not seen."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def began(self, title: str) -> None: ...

    def saw(self, title: str, detail: str, seconds: float) -> None: ...

    def missed(self, title: str, reason: str) -> None:
        self.reasons.append(reason)


@pytest.mark.timeout(30)
async def test_a_run_that_ended_otherwise_is_told_with_its_reason_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    demo = Demo(cast("Stack", None), cast("DemoState", None), told)
    demo.facts.ids["alert_incident"] = "1"
    ended = {"id": "r", "state": "ended", "outcome": "refused", "reason": "3 of 3 acts on demo-service used this hour"}

    async def get(path: str, **_params: str) -> dict[str, Any]:
        return {"items": [{"id": "r"}]} if path == "/v1/runs" else ended

    monkeypatch.setattr(demo, "_get", get)
    with pytest.raises(StepNotSeen):
        await demo._step("A rule started the runbook", demo._run_recovered)
    assert told.reasons == ["the run is ended, outcome refused: 3 of 3 acts on demo-service used this hour"]


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
