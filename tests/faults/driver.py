"""The seeded driver: blows to a running deployment, in an order that the seed decides, while senders work."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.faults.evidence import Samples
from tests.faults.rig import PROCESSES, Rig

Blow = Callable[["Driver"], Awaitable[None]]


@dataclass
class Driver:
    """Strikes one blow after another until told to stop, and says what it did.

    Attributes:
        struck: What was done, with seconds since the start: printed with a violation.
        samples: The largest seen of what must stay bounded.
    """

    rig: Rig
    rng: random.Random
    struck: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    samples: Samples = field(default_factory=Samples)
    started: float = field(default_factory=time.monotonic)

    async def rage(self, seconds: float) -> None:
        """This will strike for as long as said, each kind of blow once before any comes again."""
        until = time.monotonic() + seconds
        waiting: list[str] = []
        while time.monotonic() < until:
            if not waiting:
                waiting = list(BLOWS)
                self.rng.shuffle(waiting)
            name = waiting.pop()
            await self.rig.answers()
            self.counts[name] += 1
            self.struck.append(f"{time.monotonic() - self.started:6.1f} s  {name}")
            await BLOWS[name](self)
            await self.measure()
            self.rig.supervise()
            await self.pass_time(0.2, 0.8)
        await self.rig.heal()

    async def measure(self) -> None:
        """This will take the samples of I8; what is away at the moment cannot be measured."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError):
            connections = len(await self.rig.backends("tocsin-%"))
            redis = Redis.from_url(self.rig.valkey.url, socket_timeout=1)
            try:
                used = (await redis.info("memory"))["used_memory"] / 2**20
            finally:
                await redis.aclose()
            self.samples = replace(
                self.samples,
                connections=max(self.samples.connections, connections),
                valkey_mb=max(self.samples.valkey_mb, used),
                rss_mb=max(self.samples.rss_mb, self.rig.stack.rss_mb()),
                metric_series=max(self.samples.metric_series, await _series(self.rig)),
            )

    async def pass_time(self, least: float, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))

    def victim(self) -> str:
        return self.rng.choice(PROCESSES)


async def kill(driver: Driver) -> None:
    """A process dies and comes back."""
    name = driver.victim()
    driver.struck[-1] += f" {name}"
    await asyncio.to_thread(driver.rig.stack.kill, name)
    await driver.pass_time(0, 0.4)
    driver.rig.stack.start(name)


async def kill_inside(driver: Driver) -> None:
    """A process dies at one of the named places, drawn by the seed."""
    place = driver.rng.choice(PLACES)
    name = {"ingest": "api", "relay": "relay", "sweep": "relay"}.get(place.split(".")[0], "worker")
    driver.struck[-1] += f" {place}"
    driver.rig.stack.restart(name, failpoints=f"{place}=kill@nth:{driver.rng.randint(1, 4)}")
    await driver.pass_time(2.5, 4.0)
    driver.rig.stack.restart(name)


async def pause(driver: Driver) -> None:
    """A process stands still and goes on as if nothing had happened."""
    name = driver.victim()
    driver.struck[-1] += f" {name}"
    driver.rig.stack.pause(name)
    await driver.pass_time(0.5, 2.5)
    driver.rig.stack.resume(name)


async def terminate(driver: Driver) -> None:
    """A deploy: SIGTERM, and the next release starts."""
    name = driver.victim()
    driver.struck[-1] += f" {name}"
    await asyncio.to_thread(driver.rig.stack.terminate, name)
    driver.rig.stack.start(name)


async def skew(driver: Driver) -> None:
    """A process runs with a wrong clock for a while."""
    name = driver.rng.choice(["relay", "worker"])
    seconds = driver.rng.choice([-3600, -120, 120, 3600])
    driver.struck[-1] += f" {name} {seconds:+d} s"
    driver.rig.stack.restart(name, skew_s=seconds)
    await driver.pass_time(2.5, 4.0)
    driver.rig.stack.restart(name)


async def flush(driver: Driver) -> None:
    """The broker forgets everything."""
    await _redis(driver, "FLUSHALL")


async def fill_broker(driver: Driver) -> None:
    """The broker has no memory left."""
    await _redis(driver, "CONFIG", "SET", "maxmemory", "1")
    await driver.pass_time(0.5, 2.0)
    await _redis(driver, "CONFIG", "SET", "maxmemory", "256mb")


async def kill_broker(driver: Driver) -> None:
    """The broker dies and comes back empty."""
    driver.rig.kill_valkey()
    await driver.pass_time(0.2, 1.5)
    await asyncio.to_thread(driver.rig.valkey.start)


async def pause_broker(driver: Driver) -> None:
    """The broker takes connections and does not answer."""
    driver.rig.pause_valkey()
    await driver.pass_time(0.5, 2.5)
    driver.rig.resume_valkey()


async def drop_connections(driver: Driver) -> None:
    """Every session of the database ends at once."""
    await driver.rig.end_backends()


async def crash_database(driver: Driver) -> None:
    """One server process is killed: all restart and the log is replayed."""
    await driver.rig.crash_postgres()
    await driver.rig.answers()


async def kill_database(driver: Driver) -> None:
    """The whole database server is killed and started again."""
    await asyncio.to_thread(driver.rig.kill_postgres)
    await driver.pass_time(0.1, 0.6)
    await asyncio.to_thread(driver.rig.server.start)


async def restart_database(driver: Driver) -> None:
    """A planned restart of the database."""
    await asyncio.to_thread(driver.rig.server.stop)
    await asyncio.to_thread(driver.rig.server.start)


async def starve_connections(driver: Driver) -> None:
    """The application's role may open hardly any connection."""
    async with driver.rig.superuser() as connection:
        await connection.execute("alter role tocsin_app connection limit 2")
        await driver.rig.end_backends("tocsin-app")
        await driver.pass_time(0.5, 2.0)
        await connection.execute("alter role tocsin_app connection limit -1")


async def hold_a_lock(driver: Driver) -> None:
    """Somebody locks a hot table for longer than a sender waits."""
    table = driver.rng.choice(["deliveries", "jobs", "alert_heads", "effects"])
    driver.struck[-1] += f" {table}"
    async with driver.rig.superuser() as connection, connection.transaction():
        await connection.execute(f"lock table {table} in access exclusive mode")
        await driver.pass_time(0.5, 2.5)


async def fill_disk(driver: Driver) -> None:
    """No server process can write any file beyond its present end."""
    pids = await driver.rig.backends("tocsin-%")
    driver.rig.limit_files(pids, "8192")
    await driver.pass_time(0.3, 1.0)
    driver.rig.limit_files(pids, "unlimited")


async def _series(rig: Rig) -> int:
    """The time series that one process exports, the largest number of all."""
    most = 0
    async with httpx.AsyncClient(timeout=1) as client:
        for name in PROCESSES:
            for port in rig.stack.metrics_ports(name):
                with contextlib.suppress(httpx.HTTPError):
                    said = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                    most = max(most, sum(1 for line in said.splitlines() if line and not line.startswith("#")))
    return most


async def _redis(driver: Driver, *command: str) -> None:
    redis = Redis.from_url(driver.rig.valkey.url, socket_timeout=5)
    try:
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await redis.aclose()


PLACES = (
    "ingest.before_insert",
    "ingest.after_insert",
    "ingest.after_commit",
    "relay.after_claim",
    "relay.after_publish",
    "claim.after_commit",
    "effect.after_intent",
    "effect.before_send",
    "effect.after_send",
    "finish.before_commit",
    "finish.after_commit",
)
BLOWS: dict[str, Blow] = {
    blow.__name__: blow
    for blow in (
        kill,
        kill_inside,
        pause,
        terminate,
        skew,
        flush,
        fill_broker,
        kill_broker,
        pause_broker,
        drop_connections,
        crash_database,
        kill_database,
        restart_database,
        starve_connections,
        hold_a_lock,
        fill_disk,
    )
}
