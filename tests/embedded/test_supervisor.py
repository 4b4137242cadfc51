"""Children are started in order, restarted when they crash, and stopped in the opposite order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from app.embedded import supervisor as module
from app.embedded.supervisor import Command, Supervisor
from tests.fixtures.wait import wait_until

# Says its name when it is told to stop, so that the order can be read.
POLITE = """
import signal, sys, time
def stop(*_):
    with open(sys.argv[1], "a") as file:
        file.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(tmp_path, cwd=tmp_path, say=said.append)


def python(name: str, source: str, *arguments: str) -> Command:
    return Command(name, [sys.executable, "-c", source, *arguments], dict(os.environ))


async def ready(supervisor: Supervisor, name: str) -> int:
    await wait_until(lambda: "ready" in supervisor.log_tail(name), what=f"{name} is ready")
    pid = supervisor.pid(name)
    assert pid is not None
    return pid


async def test_children_stop_in_the_opposite_order(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("first", "second", "third"):
        await supervisor.start(python(name, POLITE, str(order), name))
        await ready(supervisor, name)
    await supervisor.stop()
    assert order.read_text().split() == ["third", "second", "first"]


async def test_a_crashed_child_comes_back_with_a_growing_wait(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_BACKOFF_S", 0.05)
    await supervisor.start(python("crasher", "import sys; print('up', flush=True); sys.exit(3)"))
    await wait_until(lambda: supervisor.restarts("crasher") >= 2, what="it was started again twice")
    await supervisor.stop()
    assert "crasher ended with status 3" in said[0]
    assert "in 0.05 s" in said[0]
    assert "in 0.1 s" in said[1]


async def test_a_child_killed_from_outside_comes_back(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "FIRST_BACKOFF_S", 0.05)
    await supervisor.start(python("victim", POLITE, str(tmp_path / "order"), "victim"))
    first = await ready(supervisor, "victim")
    psutil.Process(first).kill()
    await wait_until(lambda: supervisor.pid("victim") not in (None, first), what="another process took its place")
    await supervisor.stop()


async def test_a_child_that_does_not_stop_is_ended(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.2)
    await supervisor.start(python("stubborn", STUBBORN))
    pid = await ready(supervisor, "stubborn")
    await supervisor.stop()
    assert not psutil.pid_exists(pid)
    assert "stubborn did not stop" in said[-1]
