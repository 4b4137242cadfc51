"""The whole of Tocsin on one machine: its own PostgreSQL and Valkey, then every process under a supervisor."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from app.db.migrate import ROOT, upgrade
from app.db.roles import bootstrap
from app.embedded.ports import choose_port
from app.embedded.postgres import DATABASE, EmbeddedPostgres
from app.embedded.secrets import StackSecrets, load_or_create
from app.embedded.supervisor import Command, Supervisor
from app.embedded.valkey import EmbeddedValkey

READY_TIMEOUT_S = 60.0


class StackNotReady(RuntimeError):
    """A part did not come up; the message holds the end of its log."""


@dataclass(frozen=True)
class Ports:
    """Where the parts listen, all on loopback."""

    api: int
    metrics: int
    desk: int
    service: int
    postgres: int
    valkey: int
    smtp: int

    @classmethod
    def choose(cls, *, api: int) -> Ports:
        """This will take the wanted API port where it is free and find free ones for the rest."""
        taken: set[int] = set()
        chosen: list[int] = []
        for wanted in (api, 9101, api + 1001, api + 1002, 15432, 16379, 2525):
            port = choose_port(wanted, taken=frozenset(taken))
            taken.add(port)
            chosen.append(port)
        return cls(*chosen)


MONITOR = "tocsin_monitor"


async def _make_monitor(connection: asyncpg.Connection[Any], password: str) -> None:
    """Make the role with which the demo's runbook looks at PostgreSQL: statistics only, no rows."""
    if await connection.fetchval("select 1 from pg_roles where rolname = $1", MONITOR) is None:
        quoted = await connection.fetchval("select quote_literal($1::text)", password)
        await connection.execute(f"create role {MONITOR} login in role pg_monitor password {quoted}")


class Stack:
    """Starts and stops the parts in order.

    Args:
        folder: The data folder, locked by the caller.
        ports: Where to listen.
        say: Told what happens, one line each.
    """

    def __init__(self, folder: Path, *, ports: Ports, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.ports = ports
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.secrets: StackSecrets = load_or_create(folder)
        self.postgres = EmbeddedPostgres(folder, tcp_port=ports.postgres)
        self.valkey = EmbeddedValkey(folder, port=ports.valkey, password=self.secrets.broker_password)
        self.supervisor = Supervisor(self.logs, cwd=ROOT, say=say)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def desk_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.desk}"

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.service}"

    async def start_stores(self) -> None:
        """This will start PostgreSQL and Valkey and migrate the schema."""
        await asyncio.gather(asyncio.to_thread(self.postgres.start), asyncio.to_thread(self.valkey.start))
        connection = await asyncpg.connect(self.postgres.dsn_for("postgres", database="postgres"))
        try:
            await bootstrap(connection, database=DATABASE)
            await _make_monitor(connection, self.secrets.monitor_password)
        finally:
            await connection.close()
        await asyncio.to_thread(upgrade, self.postgres.url_for("tocsin_owner"))

    async def start_processes(self) -> None:
        """This will start the children; ``wait_ready`` says when they work."""
        environment = self.environment()
        uvicorn = [
            sys.executable,
            "-m",
            "uvicorn",
            "--host",
            "127.0.0.1",
            "--no-proxy-headers",
            "--no-access-log",
            "--log-level",
            "warning",
        ]
        commands = {
            "desk": [*uvicorn, "--port", str(self.ports.desk), "--factory", "app.embedded.desk:create_desk_app"],
            "service": [*uvicorn, "--port", str(self.ports.service), "app.embedded.breakable:app"],
            "api": [*uvicorn, "--port", str(self.ports.api), "--factory", "app.main:create_app"],
            "relay": [sys.executable, "-m", "workers.relay_main"],
            "worker": [sys.executable, "-m", "workers.main"],
            "smtp": [sys.executable, "-m", "app.smtp"],
        }
        for name, argv in commands.items():
            await self.supervisor.start(Command(name, argv, environment))

    async def wait_ready(self) -> None:
        """This will return once the API is ready and a worker polls.

        Raises:
            StackNotReady: They did not come up in a minute.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        async with httpx.AsyncClient(base_url=self.api_url, timeout=2) as client:
            while time.monotonic() < deadline:
                try:
                    queue = await client.get("/health/queue")
                    if queue.status_code == 200 and queue.json().get("workers", 0) > 0:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)
        tails = "\n".join(f"--- {name}:\n{self.supervisor.log_tail(name)}" for name in ("api", "relay", "worker"))
        raise StackNotReady(f"Tocsin did not become ready in {READY_TIMEOUT_S:g} s; logs are in {self.logs}\n{tails}")

    async def stop(self) -> None:
        """This will stop everything, processes first."""
        await self.supervisor.stop()
        await asyncio.to_thread(self.valkey.stop)
        await asyncio.to_thread(self.postgres.stop)

    def administration(self) -> dict[str, str]:
        """This will return what migrations, backups and their rehearsal need besides; no process is given it."""
        return {
            "TOCSIN_DATABASE__OWNER_URL": self.postgres.url_for("tocsin_owner"),
            "TOCSIN_DATABASE__BACKUP_URL": self.postgres.url_for("tocsin_backup"),
            "TOCSIN_SUPERUSER_DSN": self.postgres.dsn_for("postgres", database="postgres"),
        }

    def environment(self) -> dict[str, str]:
        """This will return the settings of the stack's processes as environment variables."""
        # What a user sets by hand (an OTLP endpoint, a chat model) holds; the stores and ports are the stack's own.
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TOCSIN_DATABASE__APP_URL": self.postgres.url_for("tocsin_app"),
            "TOCSIN_DATABASE__SYSTEM_URL": self.postgres.url_for("tocsin_system"),
            "TOCSIN_REDIS__URL": self.valkey.url,
            "TOCSIN_SECURITY__ENCRYPTION_KEYS": f'["{self.secrets.encryption_key}"]',
            "TOCSIN_SECURITY__TOKEN_PEPPER": self.secrets.token_pepper,
            "TOCSIN_SECURITY__EGRESS_ALLOW": '["127.0.0.0/8"]',
            "TOCSIN_HTTP__PUBLIC_URL": self.api_url,
            "TOCSIN_INGEST__PUBLIC_URL": self.api_url,
            "TOCSIN_HTTP__METRICS_PORT": str(self.ports.metrics),
            "TOCSIN_JOBS__RELAY_METRICS_PORT": str(self.ports.metrics + 1),
            "TOCSIN_JOBS__WORKER_METRICS_PORT": str(self.ports.metrics + 2),
            "TOCSIN_SMTP__METRICS_PORT": str(self.ports.metrics + 3),
            "TOCSIN_SMTP__HOST": "127.0.0.1",
            "TOCSIN_SMTP__PORT": str(self.ports.smtp),
            "TOCSIN_SMTP__PUBLIC_PORT": str(self.ports.smtp),
            "TOCSIN_DEMO_DESK_KEY": self.secrets.desk_key,
        }
