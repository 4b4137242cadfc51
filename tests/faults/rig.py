"""A whole deployment to be broken: PostgreSQL of its own (which keeps what it commits), Valkey, and real processes.

The processes are those of ``tests/fixtures/stack.py``. Here they can also be paused, started as a second of their kind,
started with failpoints, and started with a wrong clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from app.db.engine import Database
from app.db.migrate import upgrade
from app.db.roles import bootstrap
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey, free_port
from app.settings import Settings
from tests.fixtures.database import PostgresServer
from tests.fixtures.process import make_settings
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until

DATABASE = "faults"
PROCESSES = ("api", "relay", "worker")
LEASE_S = 10
# Short where waiting proves nothing; the lease is as short as the settings allow.
ENVIRONMENT = {
    "TOCSIN_JOBS__LEASE_S": str(LEASE_S),
    "TOCSIN_JOBS__LEASE_SLACK_S": "0.5",
    "TOCSIN_JOBS__REPUBLISH_AFTER_S": "1.5",
    "TOCSIN_JOBS__POLL_FALLBACK_S": "1",
    "TOCSIN_JOBS__DRAIN_TIMEOUT_S": "2",
    "TOCSIN_JOBS__STALE_WORKER_S": "3",
    "TOCSIN_INGEST__REFUSAL_FLUSH_S": "0.2",
    "TOCSIN_REMEDIATION__MAX_ACTS_PER_TENANT_HOUR": "10000",
    "TOCSIN_TELEMETRY__LOG_LEVEL": "INFO",
}


class FaultStack(ProcessStack):
    """The processes, by name; ``api2`` is a second API on a port of its own."""

    def __init__(self, settings: Settings, valkey: EmbeddedValkey, folder: Path) -> None:
        super().__init__(settings, valkey, folder)
        self._second_port = free_port()
        self._changed: dict[str, bool] = {}

    def start(self, name: str, *, failpoints: str = "", skew_s: int = 0, **environment: str) -> None:
        """This will start a process, with failpoints armed or its wall clock off by ``skew_s``."""
        self.extra = {**ENVIRONMENT, **environment}
        self._changed[name] = bool(failpoints or skew_s or environment)
        if failpoints:
            self.extra["TOCSIN_FAILPOINTS"] = failpoints
        if skew_s:
            self.extra |= {
                "LD_PRELOAD": _faketime(),
                "FAKETIME": f"{skew_s:+d}",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                # The times of files stay: Python would take every module for another one and compile it anew.
                "NO_FAKE_STAT": "1",
            }
        super().start(name)

    def names(self) -> list[str]:
        """This will return what was started and not killed."""
        return list(self._processes)

    def is_changed(self, name: str) -> bool:
        """This will say whether the process was started otherwise than a plain one."""
        return self._changed.get(name, False)

    def restart(self, name: str, **how: str | int) -> None:
        """This will kill a process, if it still runs, and start it anew."""
        if name in self._processes:
            self.kill(name)
        self.start(name, **how)  # type: ignore[arg-type]

    def pause(self, name: str) -> None:
        """This will stop the process as a stalled machine does; what it holds stays held."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def is_up(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def exit_status(self, name: str) -> int | None:
        return self._processes[name].poll()

    async def died(self, name: str, *, timeout_s: float = 20.0) -> None:
        """This will wait until the process has killed itself."""

        async def gone() -> bool:
            return self.exit_status(name) is not None

        await wait_until(gone, timeout_s=timeout_s, what=f"{name} dies at its failpoint\n{self.tail(name)}")
        assert self._processes.pop(name).returncode == -signal.SIGKILL

    def rss_mb(self) -> float:
        """This will return the resident memory of all processes together."""
        total = 0
        for process in self._processes.values():
            try:
                total += psutil.Process(process.pid).memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20

    def metrics_ports(self, name: str) -> list[int]:
        """This will return the ports that the process listens on, without the API's own."""
        if not self.is_up(name):
            return []
        try:
            found = psutil.Process(self._processes[name].pid).net_connections(kind="tcp")
        except psutil.Error:
            return []
        return [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN and one.laddr.port != self.api_port]

    async def answering(self, name: str, path: str = "/healthz") -> None:
        """This will wait until that API answers 200."""
        async with httpx.AsyncClient(base_url=self.url_of(name), timeout=2) as client:

            async def answers() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return (await client.get(path)).status_code == 200
                return False

            await wait_until(answers, timeout_s=40, every_s=0.1, what=f"{name} answers\n{self.tail(name)}")

    def url_of(self, name: str) -> str:
        return self.api_url if name == "api" else f"http://127.0.0.1:{self._second_port}"

    def _command(self, name: str) -> list[str]:
        command = super()._command(name.rstrip("2"))
        if name == "api2":
            command[command.index(str(self.api_port))] = str(self._second_port)
        return command


class Rig:
    """Servers and processes. ``close`` leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.server = EmbeddedPostgres(folder / "pg")
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.postgres = PostgresServer(self.server)

    async def open(self) -> None:
        """This will start the servers and the three processes, and wait until the API is ready."""
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.valkey.start)
        async with self.postgres.superuser() as connection:
            await bootstrap(connection, database=DATABASE)
        await asyncio.to_thread(upgrade, self.server.url_for("tocsin_owner", database=DATABASE))
        self.settings = make_settings(self.postgres, DATABASE, self.valkey.url)
        self.stack = FaultStack(self.settings, self.valkey, self.folder)
        self.database = Database.from_settings(self.settings.database)
        for name in PROCESSES:
            self.stack.start(name)
        await self.stack.ready()

    async def close(self) -> None:
        await self.database.dispose()
        await asyncio.to_thread(self.stack.stop)
        await asyncio.to_thread(self.valkey.stop)
        await asyncio.to_thread(self.server.destroy)

    async def heal(self) -> None:
        """This will bring back whatever is away, and wait until the API is ready."""
        if not self.server.is_running():
            await asyncio.to_thread(self.server.start)
        if not self.valkey.is_running():
            await asyncio.to_thread(self.valkey.start)
        self.supervise()
        await self.stack.ready()

    def supervise(self) -> None:
        """This will start what has ended by itself, as whatever runs the processes in production does."""
        for name in PROCESSES:
            if not self.stack.is_up(name):
                self.stack.restart(name)

    async def calm(self) -> None:
        """This will undo what a scenario left: paused or armed processes, seconds of a kind, a full broker."""
        for name in list(self.stack.names()):
            self.stack.resume(name)
            if name not in PROCESSES:
                self.stack.kill(name)
            elif self.stack.is_changed(name):
                self.stack.restart(name)
        if self.valkey.is_running():
            self.resume_valkey()
        await self.heal()

    def superuser(self) -> Any:
        """An async context manager: a superuser's connection to the database."""
        return self.postgres.superuser(DATABASE)

    async def end_backends(self, application: str = "tocsin-%") -> int:
        """This will end the sessions of the processes, as a failover does, and return how many there were."""
        async with self.superuser() as connection:
            return int(
                await connection.fetchval(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like $1",
                    application,
                )
            )

    async def crash_postgres(self) -> None:
        """This will kill one server process with -9: the postmaster then restarts all of them from the log."""
        (victim, *_) = await self.backends("tocsin-%")
        os.kill(victim, signal.SIGKILL)

    def kill_postgres(self) -> None:
        """This will kill the whole server at once, as a lost machine does; ``heal`` starts it again."""
        postmaster = psutil.Process(self.server.pid)
        for process in [postmaster, *postmaster.children()]:
            process.kill()
        psutil.wait_procs([postmaster])
        self.server.stop()

    async def answers(self) -> None:
        """This will wait until the database takes sessions again."""

        async def asked() -> bool:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with self.superuser() as connection:
                    return bool(await connection.fetchval("select true"))
            return False

        await wait_until(asked, timeout_s=30, what="PostgreSQL answers")

    def limit_files(self, pids: Iterable[int], size: str) -> None:
        """This will let server processes write no file beyond a size: what they meet is a full disk.

        Args:
            pids: Whom; one that has ended meanwhile is passed over.
            size: Bytes, or ``unlimited``.
        """
        for pid in pids:
            # As the server's own account: one may always limit one's own processes.
            command = ["prlimit", "--pid", str(pid), f"--fsize={size}:"]
            subprocess.run(command, check=False, capture_output=True, cwd="/", **self.server._identity())

    async def backends(self, application: str = "tocsin-app") -> list[int]:
        async with self.superuser() as connection:
            rows = await connection.fetch(
                "select pid from pg_stat_activity where application_name like $1", application
            )
        return [row["pid"] for row in rows]

    def pause_valkey(self) -> None:
        os.kill(self._valkey_pid(), signal.SIGSTOP)

    def resume_valkey(self) -> None:
        os.kill(self._valkey_pid(), signal.SIGCONT)

    def kill_valkey(self) -> None:
        """This will kill the broker with -9; it kept nothing on disk."""
        os.kill(self._valkey_pid(), signal.SIGKILL)
        self.valkey.stop()

    def _valkey_pid(self) -> int:
        assert self.valkey.pid is not None
        return self.valkey.pid


def _faketime() -> str:
    """The library that lies about the time; Debian puts it under the machine's own triplet."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "install Debian's package faketime"
    return str(found[0])
