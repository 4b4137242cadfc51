"""The image without a container: the Dockerfile's steps in a clean virtual environment, and its processes as its user.

What this cannot show is the base image and its Debian; everything that the Dockerfile puts on top of it is here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.db.migrate import ROOT
from tests.deploy.dockerfile import context_files, copied, stages

STEP_TIMEOUT_S = 120


class StepFailed(RuntimeError):
    """A step of the Dockerfile ended with an error; the message holds what it said."""


def readable_python() -> Path:
    """This will return an interpreter that the image's user may run too: root's own home is closed to it."""
    candidates = [Path(sys.executable).resolve(), *map(Path, ("/usr/local/bin/python3", "/usr/bin/python3"))]
    for candidate in candidates:
        if (
            candidate.exists()
            and all(parent.stat().st_mode & 0o001 for parent in candidate.parents)
            and _is_new(candidate)
        ):
            return candidate.resolve()
    return candidates[0]


def _is_new(python: Path) -> bool:
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([str(python), "-c", test], timeout=10, check=False).returncode == 0


def identity(python: Path) -> dict[str, Any]:
    """This will return how to become the image's user, where that is possible: as root, with an interpreter open to it."""
    if os.geteuid() != 0 or not all(parent.stat().st_mode & 0o001 for parent in python.resolve().parents):
        return {}
    user, group = map(int, next(s for s in stages()[-1] if s.instruction == "USER").value.split(":"))
    return {"user": user, "group": group, "extra_groups": []}


class Image:
    """What ``COPY --from=build`` puts into the image, on a tree that nobody may write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = folder / "build"
        self.venv = folder / "venv"
        self.workdir = folder / "srv"
        self.python = readable_python()

    def build(self) -> None:
        """This will run the first stage's steps, with uv in pip's place: the same wheels, from its cache."""
        self.workdir.mkdir()
        for sources, destination in copied(stages()[0]):
            for source in sources:
                self._copy(source, destination)
        uv = [str(Path(sys.executable).parent / "uv")]
        into = ["--python", str(self.venv / "bin" / "python")]
        self._run([*uv, "venv", "--quiet", "--python", str(self.python), str(self.venv)])
        locked = str(self.context / "requirements" / "image.txt")
        self._run([*uv, "pip", "install", "--quiet", *into, "--no-deps", "--require-hashes", "--requirement", locked])
        # The back end comes from this environment, which holds the version that build.txt names.
        backend = ["--no-build-isolation", "--python", sys.executable]
        self._run(
            [*uv, "build", "--quiet", "--wheel", *backend, "--out-dir", str(self.context / "dist"), str(self.context)]
        )
        (wheel,) = (self.context / "dist").glob("tocsin-*.whl")
        self._run([*uv, "pip", "install", "--quiet", *into, "--no-deps", "--no-index", str(wheel)])
        self._run([*uv, "pip", "check", *into])
        self._close()

    @property
    def wheel(self) -> Path:
        (wheel,) = (self.context / "dist").glob("tocsin-*.whl")
        return wheel

    def arguments(self, command: list[str], variables: Mapping[str, str] | None = None) -> dict[str, Any]:
        """This will return what ``subprocess`` needs to run a command as a container of the image does."""
        inside = {
            "PATH": f"{self.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        program = str(self.venv / "bin" / command[0])
        return {
            "args": [program, *command[1:]],
            "env": inside | dict(variables or {}),
            "cwd": self.workdir,
            **identity(self.python),
        }

    def run(self, command: list[str], variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """This will run a command of the image to its end."""
        arguments = self.arguments(command, variables)
        return subprocess.run(**arguments, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False)

    def _copy(self, source: str, destination: str) -> None:
        for name in context_files():
            if name == source or name.startswith(f"{source}/"):
                inner = Path(name).name if destination.endswith("/") else destination + name.removeprefix(source)
                target = self.context / destination / inner if destination.endswith("/") else self.context / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise StepFailed(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")

    def _close(self) -> None:
        # Symbolic links are left alone: one of them is the interpreter. Hard links into the cache must not change either.
        for path in (self.venv, self.workdir, *self.venv.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o555)


@contextlib.contextmanager
def built_image() -> Iterator[Image]:
    """This will build the image in a folder that every user can reach, and delete it."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-image-"))
    folder.chmod(0o755)
    try:
        image = Image(folder)
        image.build()
        yield image
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)
