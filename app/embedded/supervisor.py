"""Child processes that are started in order, restarted when they crash, and stopped in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 15.0
# A child that ran this long is taken to be well again, and its back-off starts over.
HEALTHY_AFTER_S = 30.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        name: Shown to people and used for the log file.
        argv: Program and arguments.
        env: The whole environment.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass
class _Child:
    command: Command
    process: asyncio.subprocess.Process | None = None
    watcher: asyncio.Task[None] | None = None
    restarts: int = field(default=0)


class Supervisor:
    """Runs commands as children, each with its output in ``<folder>/<name>.log``.

    Args:
        folder: Where the logs go.
        cwd: Working directory of the children.
        say: Told about crashes and restarts, one line each.
    """

    def __init__(self, folder: Path, *, cwd: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._cwd = cwd
        self._say = say
        self._children: list[_Child] = []
        self._stopping = False

    async def start(self, command: Command) -> None:
        """This will start a child and keep it running until ``stop``."""
        child = _Child(command)
        await self._spawn(child)
        child.watcher = asyncio.create_task(self._watch(child))
        self._children.append(child)

    async def stop(self) -> None:
        """This will stop the children, last started first: SIGTERM, a bounded wait, then SIGKILL."""
        self._stopping = True
        for child in reversed(self._children):
            if child.watcher is not None:
                child.watcher.cancel()
            await self._end(child)
        self._children.clear()

    def restarts(self, name: str) -> int:
        """This will return how often the named child was restarted."""
        return sum(child.restarts for child in self._children if child.command.name == name)

    def pid(self, name: str) -> int | None:
        """This will return the process id of the named child while it runs."""
        for child in self._children:
            if child.command.name == name and child.process is not None and child.process.returncode is None:
                return child.process.pid
        return None

    def log_tail(self, name: str, *, characters: int = 1500) -> str:
        """This will return the end of a child's log."""
        path = self._folder / f"{name}.log"
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""

    async def _spawn(self, child: _Child) -> None:
        with (self._folder / f"{child.command.name}.log").open("ab") as log:
            child.process = await asyncio.create_subprocess_exec(
                *child.command.argv,
                env=dict(child.command.env),
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal must reach the supervisor only, which then stops the children in order.
                start_new_session=True,
            )

    async def _watch(self, child: _Child) -> None:
        backoff = FIRST_BACKOFF_S
        while child.process is not None:
            started = time.monotonic()
            status = await child.process.wait()
            if self._stopping:
                return
            backoff = FIRST_BACKOFF_S if time.monotonic() - started > HEALTHY_AFTER_S else backoff
            log = self._folder / f"{child.command.name}.log"
            self._say(
                f"{child.command.name} ended with status {status}; starting it again in {backoff:g} s (see {log})"
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_S)
            child.restarts += 1
            await self._spawn(child)

    async def _end(self, child: _Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._say(f"{child.command.name} did not stop in {STOP_TIMEOUT_S:g} s; ending it")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
