"""What an orchestrator asks of processes that serve nothing else: alive is a completed round, not an open port (F16)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from app.embedded.valkey import free_port
from app.observability.metrics import MetricsServer, serve_metrics
from app.observability.probes import LIVE_PATH, READY_PATH, Pulse
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


PORTS = {"relay": free_port(), "worker": free_port()}


@pytest.fixture
def stack_environment() -> dict[str, str]:
    return {f"TOCSIN_JOBS__{name.upper()}_METRICS_PORT": str(port) for name, port in PORTS.items()}


async def test_relay_and_worker_become_alive_and_ready_as_they_are_deployed(stack: ProcessStack) -> None:
    async with httpx.AsyncClient(timeout=2) as client:

        async def answers() -> bool:
            urls = [f"http://127.0.0.1:{port}{path}" for port in PORTS.values() for path in (LIVE_PATH, READY_PATH)]
            with contextlib.suppress(httpx.HTTPError):
                return all([(await client.get(url)).status_code == 200 for url in urls])
            return False

        await wait_until(answers, timeout_s=40, every_s=0.1, what="the relay and the worker are alive and ready")
