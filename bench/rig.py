"""The servers and processes that a benchmark measures: PostgreSQL with fsync on, Valkey, api, relay and workers."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import psutil

from app.core.actor import Actor
from app.core.clock import SystemClock
from app.core.ids import TenantId, new_id
from app.db.engine import Database
from app.db.migrate import ROOT, upgrade
from app.db.roles import bootstrap
from app.db.tenancy import tenant_session
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey, free_port

SECRET = base64.b64encode(b"bench-bench-bench-bench-bench-32").decode()
DATABASE = "tocsin"
WAL_SEGMENTS = 60  # just under max_wal_size, 1 GiB


@dataclass(frozen=True)
class BenchSource:
    """Where to post, and as whom."""

    tenant_id: TenantId
    path: str
    secret: str


async def _recycle_wal(connection: asyncpg.Connection) -> None:
    """Leave the server with segments of the write-ahead log to use again, as any server has that ran for an hour.

    A fresh one fills each with zeroes first: some 50 ms for every 16 MiB in which nothing commits, several times a second
    at the rates here.
    """
    await connection.execute(f"alter system set min_wal_size = '{WAL_SEGMENTS * 16}MB'")
    await connection.execute("select pg_reload_conf()")
    for _ in range(WAL_SEGMENTS):
        await connection.execute("select pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()")
    await connection.execute("checkpoint")


class Rig:
    """An embedded PostgreSQL and Valkey with a migrated database, in a folder that goes away."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
        self.postgres = EmbeddedPostgres(self._folder, max_connections=200)
        self.valkey = EmbeddedValkey(self._folder / "valkey")
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.postgres.start()
        self.valkey.start()
        asyncio.run(self._migrate())
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "TOCSIN_DATABASE__APP_URL": self.postgres.url_for("tocsin_app"),
            "TOCSIN_DATABASE__SYSTEM_URL": self.postgres.url_for("tocsin_system"),
            "TOCSIN_REDIS__URL": self.valkey.url,
            "TOCSIN_SECURITY__ENCRYPTION_KEYS": f'["bench:{base64.b64encode(os.urandom(32)).decode()}"]',
            "TOCSIN_SECURITY__TOKEN_PEPPER": base64.b64encode(os.urandom(32)).decode(),
            # What is measured is the machine, not a limit; on all the same, so that its cost is in every figure.
            "TOCSIN_LIMITS__TENANT_DELIVERIES_PER_S": "1e9",
            "TOCSIN_LIMITS__TENANT_BYTES_PER_S": "1e12",
            "TOCSIN_LIMITS__TENANT_ALERTS_PER_MIN": "1e9",
            "TOCSIN_LIMITS__TENANT_BACKLOG": "10000000",
            "TOCSIN_HTTP__METRICS_PORT": "0",
            "TOCSIN_JOBS__RELAY_METRICS_PORT": "0",
            "TOCSIN_JOBS__WORKER_METRICS_PORT": "0",
        }
        self.environment |= {name: value for name, value in os.environ.items() if name.startswith("TOCSIN_INGEST")}
        os.environ.update(self.environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.valkey.stop()
        self.postgres.destroy()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(self.postgres.dsn_for("postgres", database="postgres"))
        await bootstrap(connection, database=DATABASE)
        await _recycle_wal(connection)
        await connection.close()
        await asyncio.to_thread(upgrade, self.postgres.url_for("tocsin_owner"))

    def postgres_cpu_s(self) -> float:
        """This will return the processor time of the server and of all that it has ever started."""
        pid = self.postgres.pid
        if pid is None:
            raise SystemExit("PostgreSQL is not running")
        server = psutil.Process(pid)
        # Its own, and that of those which have ended: connections come and go, and what they used must not be missing.
        total = sum(server.cpu_times()[:4])
        for process in server.children():
            with suppress(psutil.NoSuchProcess):  # between the two readings it went from the living to the ended
                total += sum(process.cpu_times()[:2])
        return total

    @contextmanager
    def running(
        self, *command: str, extra: Mapping[str, str] | None = None, log: str = "process"
    ) -> Iterator[psutil.Process]:
        """This will run ``python -m command`` for the length of the block; its output is shown if it ends early."""
        path = self._folder / f"{log}.log"
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**self.environment, **(extra or {})},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield psutil.Process(process.pid)
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended early:\n{path.read_text()[-2000:]}")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    @contextmanager
    def api(self, *, extra: Mapping[str, str] | None = None, processes: int = 1) -> Iterator[int]:
        """This will run the API as production does, by default in one process, and yield its port when it answers."""
        port = free_port()
        command = (
            "uvicorn",
            "app.main:create_app",
            "--factory",
            "--port",
            str(port),
            "--workers",
            str(processes),
            "--no-proxy-headers",
            "--no-access-log",
        )
        with self.running(*command, "--log-level", "warning", extra=extra, log="api"):
            wait_for_port(port)
            yield port

    async def tenant(self, slug: str) -> TenantId:
        """This will make a tenant and return its id."""
        from app.tenants.service import create_tenant

        tenant_id = TenantId(new_id())
        async with self.database() as database, tenant_session(database, tenant_id) as session:
            await create_tenant(session, slug=slug, name=slug, actor=Actor.system("bench"), now=SystemClock().now())
        return tenant_id

    async def source(self, tenant_id: TenantId, *, kind: str = "generic", name: str = "bench") -> BenchSource:
        """This will make a source that is signed after Standard Webhooks."""
        from app.ingest.service import create_source
        from app.net.keyring import KeyRing
        from app.settings import Settings

        async with self.database() as database, tenant_session(database, tenant_id) as session:
            created = await create_source(
                session,
                keyring=KeyRing.from_settings(Settings().security),
                kind=kind,
                name=name,
                profile="standard_webhooks",
                secret=f"whsec_{SECRET}",
                actor=Actor.system("bench"),
                now=SystemClock().now(),
            )
        return BenchSource(tenant_id, created.url_path, SECRET)

    async def admin_token(self, tenant_id: TenantId) -> str:
        """This will make a token for the API and return its text."""
        from app.auth.rules import Role
        from app.auth.service import create_token, pepper_of
        from app.settings import Settings

        async with self.database() as database, tenant_session(database, tenant_id) as session:
            created = await create_token(
                session,
                pepper=pepper_of(Settings()),
                name="bench",
                role=Role.ADMIN,
                expires_at=None,
                actor=Actor.system("bench"),
                now=SystemClock().now(),
            )
        return created.text

    def database(self) -> _Opened:
        """This will open the application's pools for the length of an ``async with``."""
        return _Opened()

    async def fetch(self, statement: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """This will ask as the superuser: what was stored, over all tenants."""
        connection = await asyncpg.connect(self.postgres.dsn_for("postgres"))
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


class _Opened:
    async def __aenter__(self) -> Database:
        from app.settings import Settings

        self._database = Database.from_settings(Settings().database)
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await self._database.dispose()


def wait_for_port(port: int, *, timeout_s: float = 40.0) -> None:
    """This will return when something listens on the loopback port."""
    deadline = time.monotonic() + timeout_s
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing listens on port {port} after {timeout_s:.0f} s")
        time.sleep(0.05)


def resident_mib(processes: Sequence[psutil.Process]) -> float:
    """This will sum the resident memory of the processes and all below them; shared pages count in each."""
    family = {child.pid: child for process in processes for child in [process, *process.children(recursive=True)]}
    return sum(member.memory_info().rss for member in family.values()) / 2**20
