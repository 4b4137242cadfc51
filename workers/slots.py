"""How many jobs run at once in a worker process, and of which queues."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from app.core.jobs import Queue


class Slots:
    """The places of a process's jobs.

    Jobs of the intake take whatever is free. Any other queue alone takes half of all at the most, the other half being kept
    for the rest: a model or a target that hangs holds up its own queue, and neither the alerts nor what is done about them.

    Args:
        queues: What the process serves. With one queue nothing is kept, nor with fewer than two places for each other queue.
        total: Jobs at once.
    """

    def __init__(self, queues: Sequence[str], total: int) -> None:
        self._total = total
        self._share = total // (2 * (len(queues) - 1)) if len(queues) > 1 else 0
        self._running = dict.fromkeys(queues, 0)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {queue: deque() for queue in queues}

    @property
    def running(self) -> int:
        """Jobs that have a place."""
        return sum(self._running.values())

    def free(self, queue: str) -> int:
        """This will return how many more jobs of a queue could begin now."""
        free = self._total - self.running
        if queue != Queue.INTAKE.value:
            others = (running for other, running in self._running.items() if other != queue)
            free -= sum(max(0, self._share - running) for running in others)
        return max(0, free)

    def take_now(self, queue: str) -> bool:
        """This will take a place and return True, unless there is none for the queue."""
        if self.free(queue) == 0:
            return False
        self._running[queue] += 1
        return True

    async def take(self, queue: str) -> None:
        """This will wait until there is a place for the queue, and take it."""
        if self.take_now(queue):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[queue].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(queue)  # it came at the same moment
            raise

    def give(self, queue: str) -> None:
        """This will give a place back, to those who wait for one."""
        self._running[queue] -= 1
        for name, waiting in self._waiting.items():
            while waiting and self.free(name):
                turn = waiting.popleft()
                if not turn.done():
                    self._running[name] += 1
                    turn.set_result(None)
