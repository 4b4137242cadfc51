"""What a process of the rig says of itself: the lines of its log since a moment, and the metrics that it serves."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.faults.scene import Scene
from tests.fixtures.wait import wait_until


@dataclass(frozen=True)
class Hearing:
    """One process's log from here on; whatever scenarios before this one made it say does not count."""

    path: Path
    begins_at: int

    def said(self, event: str) -> list[dict[str, Any]]:
        """This will return the lines of that event, oldest first."""
        found = []
        for line in self.path.read_bytes()[self.begins_at :].splitlines() if self.path.exists() else ():
            # A line may be half written, and a process that breaks says so in plain text.
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and told.get("event") == event:
                    found.append(told)
        return found

    async def hears(self, event: str, *, timeout_s: float = 20.0) -> dict[str, Any]:
        """This will wait for that event and return its first line."""

        def first() -> dict[str, Any] | None:
            return next(iter(self.said(event)), None)

        found = await wait_until(first, timeout_s=timeout_s, every_s=0.1, what=f"{self.path.stem} says {event}")
        assert found is not None
        return found


def listen(scene: Scene, process: str) -> Hearing:
    """This will listen to a process, which may have to be started first."""
    path = scene.rig.folder / f"{process}.log"
    return Hearing(path, path.stat().st_size if path.exists() else 0)


async def measured(scene: Scene, process: str, metric: str) -> float:
    """This will sum a metric over its labels, as the process serves it; 0 while it does not answer."""
    total = 0.0
    async with httpx.AsyncClient(timeout=5) as client:
        for port in scene.stack.metrics_ports(process):
            with contextlib.suppress(httpx.HTTPError):
                said = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                for value in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", said, re.MULTILINE):
                    total += float(value)
    return total
