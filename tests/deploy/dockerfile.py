"""The Dockerfile as data: its stages, and the steps that can be run without a container."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser

from app.db.migrate import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Step:
    """One instruction."""

    instruction: str
    value: str

    def words(self) -> list[str]:
        """This will split it as a shell does, or as JSON where it is JSON."""
        return list(json.loads(self.value)) if self.value.startswith("[") else shlex.split(self.value)

    def commands(self) -> list[list[str]]:
        """This will return the commands of a RUN that are joined by &&."""
        return [shlex.split(part) for part in self.value.split("&&")]


def stages(path: Path = DOCKERFILE) -> list[list[Step]]:
    """This will return the instructions stage by stage; what stands before the first FROM is left out."""
    found: list[list[Step]] = []
    for entry in DockerfileParser(path=str(path)).structure:
        if entry["instruction"] == "COMMENT":
            continue
        if entry["instruction"] == "FROM":
            found.append([])
        if found:
            found[-1].append(Step(entry["instruction"], entry["value"]))
    return found


def base_images(path: Path = DOCKERFILE) -> list[str]:
    """This will return what each stage begins from, build arguments filled in."""
    return list(DockerfileParser(path=str(path)).parent_images)


def copied(stage: list[Step]) -> list[tuple[list[str], str]]:
    """This will return sources and destination of each COPY from the build context."""
    found = []
    for step in stage:
        words = step.words() if step.instruction == "COPY" else []
        if words and not words[0].startswith("--from"):
            found.append((words[:-1], words[-1]))
    return found


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps a path from the builder; the last pattern that matches it or a parent decides.

    Source: https://docs.docker.com/build/concepts/context/#dockerignore-files (2026-11).
    """
    parts = path.split("/")
    candidates = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    verdict = False
    for pattern in patterns:
        keep, bare = pattern.startswith("!"), pattern.lstrip("!")
        regex = re.compile(
            r"(?:.*/)?" + fnmatch.translate(bare[3:]) if bare.startswith("**/") else fnmatch.translate(bare)
        )
        if any(regex.match(candidate) and ("/" in bare or "/" not in candidate) for candidate in candidates):
            verdict = not keep
    return verdict


def ignore_patterns() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def context_files() -> list[str]:
    """This will return the files of the checkout that the builder would see: tracked or new, and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.splitlines()
    patterns = ignore_patterns()
    return [name for name in listed if (ROOT / name).is_file() and not ignored(name, patterns)]
