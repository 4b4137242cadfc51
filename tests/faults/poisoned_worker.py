"""A worker that also knows a job which kills the process it runs in, and one that takes its time.

Run as a program it is ``workers.main`` with these two kinds; imported, it only says what they are.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from typing import ClassVar

from app.core.backoff import RetryPolicy
from app.core.jobs import Job, Queue, registry
from app.db.jobs.context import JobContext
from tests.faults.rig import FaultStack
from workers.main import main

# A worker at the end of its memory works for a while before it is killed: whatever it had claimed dies with it.
UNTIL_DEATH_S = 1.5
LONG_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Poison(Job):
    """Kills each worker that takes it, as an input does that crashes a parser or eats the memory."""

    kind: ClassVar[str] = "faults.poison"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, base_s=0.0)


@dataclass(frozen=True, kw_only=True)
class Neighbour(Job):
    """Takes longer than the poison waits for its next attempt, and counts how often it was begun and ended."""

    kind: ClassVar[str] = "faults.neighbour"
    queue: ClassVar[Queue] = Queue.MAINTENANCE
    # As few as the poison's: dying with it each time, it would be buried with it.
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, base_s=0.0)


class PoisonedStack(FaultStack):
    """The rig's processes, whose worker knows the two kinds."""

    def _command(self, name: str) -> list[str]:
        if name == "worker":
            return [sys.executable, "-m", "tests.faults.poisoned_worker"]
        return super()._command(name)


async def _die(ctx: JobContext, job: Poison) -> None:
    await asyncio.sleep(UNTIL_DEATH_S)
    os.kill(os.getpid(), signal.SIGKILL)


async def _take_long(ctx: JobContext, job: Neighbour) -> None:
    await asyncio.sleep(LONG_S)


if __name__ == "__main__":
    registry.stepwise(Poison)(_die)
    registry.stepwise(Neighbour)(_take_long)
    main(sys.argv[1:])
