"""The manifests' containers as processes of the built image, on stores of the test's own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey, free_port
from tests.deploy.environment import environment, printed_secrets
from tests.deploy.image import Image
from tests.deploy.kustomize import Object

STOP_S = 60


class Cluster:
    """One machine in the place of a cluster: Secrets, commands and variables are the manifests', hosts and ports are local.

    Args:
        image: What the containers run.
        folder: For logs and the stores' data.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        self._image = image
        self._folder = folder
        self.ports = {name: free_port() for name in ("api", "api-metrics", "relay", "worker")}
        self.postgresql = EmbeddedPostgres(folder / "postgresql", durable=False, tcp_port=free_port())
        self.valkey = EmbeddedValkey(folder / "valkey", password=printed_secrets()["tocsin-redis"]["password"])
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    async def start_stores(self) -> None:
        """This will start PostgreSQL, with the superuser's password from its Secret, and Valkey."""
        self.postgresql.start()
        self.valkey.start()
        connection = await asyncpg.connect(self.postgresql.dsn_for("postgres", database="postgres"))
        try:
            await connection.execute(
                f"alter role postgres password '{printed_secrets()['tocsin-superuser']['password']}'"
            )
        finally:
            await connection.close()

    def variables(self, objects: list[Object], container: dict[str, Any]) -> dict[str, str]:
        """This will return a container's variables, with the stores' Services turned into this machine's ports."""
        found = environment(objects, container) | {
            "TOCSIN_TELEMETRY__METRICS_HOST": "127.0.0.1",
            "TOCSIN_TELEMETRY__OTLP_ENDPOINT": "",
            "TOCSIN_HTTP__METRICS_PORT": str(self.ports["api-metrics"]),
            "TOCSIN_JOBS__RELAY_METRICS_PORT": str(self.ports["relay"]),
            "TOCSIN_JOBS__WORKER_METRICS_PORT": str(self.ports["worker"]),
        }
        stores = {"@postgresql:5432": self.postgresql.port, "@valkey:6379": self.valkey.port}
        return {name: _moved(value, stores) for name, value in found.items()}

    def finish(self, objects: list[Object], container: dict[str, Any], command: list[str] | None = None) -> str:
        """This will run a container of a Job, or another command in its place, and return what it printed."""
        done = self._image.run(command or container["command"], self.variables(objects, container))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, objects: list[Object], container: dict[str, Any]) -> None:
        """This will start a Deployment's container."""
        arguments = [str(self.ports["api"]) if word == "8080" else word for word in container.get("args", [])]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                **self._image.arguments([*container["command"], *arguments], self.variables(objects, container)),
                stdout=log,
                stderr=log,
            )

    def stop(self) -> dict[str, int]:
        """This will end the processes as Kubernetes does and return their statuses."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(STOP_S) for name, process in self._running.items()}

    def close(self) -> None:
        """This will end whatever still runs."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(STOP_S)
        self.valkey.stop()
        self.postgresql.destroy()

    def said(self) -> str:
        """This will return the end of every log."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in self._folder.glob("*.log"))


def _moved(value: str, stores: dict[str, int]) -> str:
    for there, port in stores.items():
        value = value.replace(there, f"@127.0.0.1:{port}")
    return value
