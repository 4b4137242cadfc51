"""The seeded driver: blows to a running deployment, in an order that the seed decides, while senders work."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.failpoints import FAILPOINTS
from tests.faults.evidence import Samples
from tests.faults.measures import largest, take_samples
from tests.faults.rig import LEASE_S, PROCESSES, Rig
from tests.fixtures.wait import wait_until

# Tries to pause a worker while it is at work.
MOMENTS = 80
Blow = Callable[["Driver"], Awaitable[None]]


@dataclass
class Driver:
    """Strikes one blow after another until told to stop, and says what it did.

    Attributes:
        struck: What was done, with seconds since the start: printed with a violation.
        deaths: How often a process really died at each of the places at which it was to die.
        samples: The largest seen of what must stay bounded.
        disk_before_mb: The database's size at the start.
    """

    rig: Rig
    rng: random.Random
    struck: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    samples: Samples = field(default_factory=Samples)
    disk_before_mb: float = 0.0
    started: float = field(default_factory=time.monotonic)
    _waiting: list[str] = field(default_factory=list)

    async def rage(self, seconds: float, *, always: Collection[str] = ()) -> None:
        """This will strike for as long as said, each kind of blow once before any comes again.

        Args:
            seconds: No blow begins after that.
            always: Kinds that are struck first, however long they take.
        """
        until = time.monotonic() + seconds
        self._waiting = self._shuffled(set(BLOWS) - set(always)) + self._shuffled(always)
        due = len(always)
        while due > 0 or time.monotonic() < until:
            await self.rig.answers()
            await self.strike(self.draw())
            await self.measure()
            self.rig.supervise()
            await self.pass_time(0.2, 0.8)
            due -= 1
        await self.rig.heal()

    def draw(self) -> str:
        """This will return the kind of the next blow."""
        if not self._waiting:
            self._waiting = self._shuffled(BLOWS)
        return self._waiting.pop()

    async def strike(self, name: str) -> None:
        """This will strike one blow and write it down."""
        self.counts[name] += 1
        self.struck.append(f"{time.monotonic() - self.started:6.1f} s  {name}")
        await BLOWS[name](self)

    def _shuffled(self, names: Collection[str]) -> list[str]:
        # Sorted first: the order of a set is another one in each process.
        found = sorted(names)
        self.rng.shuffle(found)
        return found

    async def measure(self) -> None:
        """This will take the samples of I8; what is away at the moment cannot be measured."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError):
            now = await take_samples(self.rig, disk_before_mb=self.disk_before_mb)
            self.samples = largest(self.samples, now)

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
    # Sweeps find something to do now and then only.
    nth = 1 if place.startswith("sweep.") else driver.rng.randint(1, 4)
    driver.struck[-1] += f" {place}"
    await kill_at(driver, place, nth=nth, within_s=driver.rng.uniform(8.0, 12.0))


async def kill_at(driver: Driver, place: str, *, nth: int, within_s: float) -> None:
    """This will arm the place, wait for the death if it comes, count it, and bring the process back."""
    stack = driver.rig.stack
    name = {"ingest": "api", "relay": "relay", "sweep": "relay"}.get(place.split(".", maxsplit=1)[0], "worker")
    stack.restart(name, failpoints=f"{place}=kill@nth:{nth}")
    with contextlib.suppress(AssertionError):
        await wait_until(lambda: stack.exit_status(name) is not None, timeout_s=within_s)
    died = stack.exit_status(name) == -signal.SIGKILL
    driver.deaths[place] += died
    driver.struck[-1] += " died" if died else " was not reached"
    stack.restart(name)


async def pause(driver: Driver) -> None:
    """A process stands still and goes on as if nothing had happened."""
    name = driver.victim()
    driver.struck[-1] += f" {name}"
    driver.rig.stack.pause(name)
    await driver.pass_time(0.5, 2.5)
    driver.rig.stack.resume(name)


async def oversleep(driver: Driver) -> None:
    """A worker stands still until another one has its jobs, and goes on as if it still held them."""
    stack, place = driver.rig.stack, driver.rng.choice(HELD)
    # Jobs are short: slowed down, there is one to be held.
    stack.restart("worker", failpoints=f"claim.after_commit=sleep:0.3s;{place}=sleep:0.5s")
    driver.struck[-1] += f" {place} with {await _pause_at_work(driver)} jobs"
    stack.start("worker2")
    await driver.pass_time(LEASE_S + 1, LEASE_S + 4)
    stack.resume("worker")
    await driver.pass_time(1.0, 2.0)
    await asyncio.to_thread(stack.terminate, "worker2")
    stack.restart("worker")


async def _pause_at_work(driver: Driver) -> int:
    """Pause the worker at a moment at which it holds a job, if there is one within some tries; return how many it holds."""
    held = 0
    async with driver.rig.superuser() as connection:
        for attempt in range(MOMENTS):
            driver.rig.stack.pause("worker")
            held = await connection.fetchval("select count(*)::int from jobs where state = 'running'")
            if held or attempt == MOMENTS - 1:
                break
            driver.rig.stack.resume("worker")
            await asyncio.sleep(0.1)
    return held


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


async def _redis(driver: Driver, *command: str) -> None:
    redis = Redis.from_url(driver.rig.valkey.url, socket_timeout=5)
    try:
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await redis.aclose()


PLACES = tuple(FAILPOINTS)
HELD = tuple(place for place in PLACES if place.partition(".")[0] in {"effect", "finish"})
BLOWS: dict[str, Blow] = {
    blow.__name__: blow
    for blow in (
        kill,
        kill_inside,
        pause,
        oversleep,
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
