"""What an orchestrator asks of processes that serve nothing else: alive is a completed round, not an open port (F16)."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import httpx
import pytest

from app.embedded.valkey import free_port
from app.observability.metrics import MetricsServer, serve_metrics
from app.observability.probes import LIVE_PATH, READY_PATH, Pulse
from tests.fixtures.database import PostgresServer
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until

MAX_AGE_S = 30.0


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def pulse(seconds: Seconds) -> Pulse:
    return Pulse(max_age_s=MAX_AGE_S, clock=seconds)


@pytest.fixture
def server(pulse: Pulse) -> Iterator[MetricsServer]:
    server = serve_metrics("127.0.0.1", 0, probes=pulse.probes())
    yield server
    server.close()


def ask(server: MetricsServer, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{server.port}{path}").status_code


def test_a_process_that_has_not_completed_a_round_is_not_alive(pulse: Pulse) -> None:
    assert not pulse.is_live()
    assert not pulse.is_ready()


def test_alive_lasts_as_long_as_rounds_complete(pulse: Pulse, seconds: Seconds) -> None:
    pulse.beat()
    seconds.now += MAX_AGE_S - 0.1
    assert pulse.is_live()
    seconds.now += 0.2
    assert not pulse.is_live()
    assert not pulse.is_ready()
    pulse.beat()
    assert pulse.is_live()


def test_a_drain_is_alive_for_as_long_as_it_takes_and_not_ready(pulse: Pulse, seconds: Seconds) -> None:
    pulse.beat()
    pulse.end()
    seconds.now += 10 * MAX_AGE_S
    assert pulse.is_live()
    assert not pulse.is_ready()


def test_the_port_answers_for_the_loop_and_still_serves_metrics(server: MetricsServer, pulse: Pulse) -> None:
    assert ask(server, LIVE_PATH) == ask(server, READY_PATH) == 503
    pulse.beat()
    assert ask(server, LIVE_PATH) == ask(server, READY_PATH) == 200
    pulse.end()
    assert (ask(server, LIVE_PATH), ask(server, READY_PATH)) == (200, 503)
    assert "process_cpu_seconds_total" in httpx.get(f"http://127.0.0.1:{server.port}/metrics").text


@pytest.fixture
def ports() -> dict[str, int]:
    """Where the relay and the worker answer."""
    return {"relay": free_port(), "worker": free_port()}


@pytest.fixture
def stack_environment(ports: dict[str, int]) -> dict[str, str]:
    chosen = {f"TOCSIN_JOBS__{name.upper()}_METRICS_PORT": str(port) for name, port in ports.items()}
    return chosen | {"TOCSIN_JOBS__STALE_WORKER_S": "3"}


async def status(client: httpx.AsyncClient, port: int, path: str) -> int:
    try:
        return (await client.get(f"http://127.0.0.1:{port}{path}")).status_code
    except httpx.HTTPError:
        return 0


async def all_answer(client: httpx.AsyncClient, ports: dict[str, int], code: int) -> None:
    async def answered() -> bool:
        return {await status(client, port, path) for port in ports.values() for path in (LIVE_PATH, READY_PATH)} == {
            code
        }

    await wait_until(answered, timeout_s=40, every_s=0.1, what=f"the relay and the worker answer {code}")


async def test_relay_and_worker_are_alive_while_they_get_their_work_from_postgresql(
    stack: ProcessStack, ports: dict[str, int], postgres: PostgresServer, scratch_name: str
) -> None:
    admin = await asyncpg.connect(postgres.server.dsn_for("postgres", database="postgres"))
    try:
        async with httpx.AsyncClient(timeout=2) as client:
            await all_answer(client, ports, 200)
            await admin.execute(f'alter database "{scratch_name}" with allow_connections false')
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", scratch_name
            )
            await all_answer(client, ports, 503)
            await admin.execute(f'alter database "{scratch_name}" with allow_connections true')
            await all_answer(client, ports, 200)
    finally:
        await admin.close()
