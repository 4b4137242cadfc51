"""``make soak``: seeded faults on a whole deployment for as long as you like; the first violation ends it.

``python -m tests.faults.soak --minutes 60`` runs wave after wave, each with a fresh seed and fresh tenants. A wave that
the checker objects to is printed with its seed and everything that was done; ``--seed`` runs that one again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.core.clock import SystemClock
from app.embedded.servicedesk_standin import ServiceDeskStandIn
from tests.faults.checker import Violation, judge
from tests.faults.driver import Driver
from tests.faults.evidence import Evidence, collect
from tests.faults.measures import disk_mb
from tests.faults.rig import Rig
from tests.faults.sender import Sender, Sent
from tests.faults.sink import Sink
from tests.faults.wards import Ward, close_wards, histories, make_ward, tickets
from tests.fixtures.servicedesk import TECHNICIAN_KEY, serve
from tests.fixtures.wait import wait_until


@dataclass(frozen=True)
class Size:
    """How much of everything a wave has, per tenant.

    Attributes:
        always: Kinds of blows that are struck before any other, however long they take.
    """

    havoc_s: float = 40.0
    settle_s: float = 120.0
    tenants: int = 2
    alert_keys: int = 18
    tickets: int = 5
    services: int = 10
    always: tuple[str, ...] = ()


@dataclass
class Wave:
    """What a wave ended with."""

    seed: int
    violations: list[Violation]
    driver: Driver
    evidence: Evidence

    def report(self) -> str:
        """This will say what was done and what was found."""
        log = self.evidence.log
        acknowledged = sum(1 for one in log.sent if one.is_acknowledged)
        lines = [
            f"seed {self.seed}: {len(log.sent)} deliveries, {acknowledged} acknowledged, answers {dict(log.answers)},"
            f" {len(self.evidence.calls)} calls, {len(self.driver.struck)} blows,"
            f" died inside {dict(+self.driver.deaths)}, {self.driver.samples}",
        ]
        if self.violations:
            lines += [*told(self.driver), "violations:"]
            lines += [f"  {violation}" for violation in self.violations]
        return "\n".join(lines)


def told(driver: Driver) -> list[str]:
    """This will list every blow."""
    return ["struck:", *(f"  {blow}" for blow in driver.struck)]


def driver_of(rig: Rig, seed: int) -> Driver:
    """This will make the driver of a wave; whoever makes it still has it when the wave fails."""
    return Driver(rig, random.Random(seed + 2))


async def run_wave(rig: Rig, seed: int, size: Size, driver: Driver) -> Wave:
    """This will send, strike, heal, wait for rest and judge; everything that is drawn comes from the seed."""
    rng = random.Random(seed)
    sink, standin = Sink(random.Random(seed + 1), moody=0.2), ServiceDeskStandIn(technician_key=TECHNICIAN_KEY)
    sender = Sender([rig.stack.api_url], random.Random(seed + 3))
    driver.disk_before_mb = await disk_mb(rig)
    async with serve(sink.app) as sink_url, serve(standin.app) as desk_url:
        wards = [await make_ward(rig, f"w{seed % 0xFFFFFF:06x}{number}") for number in range(size.tenants)]
        deliveries: list[Sent] = []
        for ward in wards:
            deliveries += await _load(ward, rng, size, sink_url, desk_url, standin)
        rng.shuffle(deliveries)
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.send_all(deliveries, over_s=size.havoc_s * 0.9))
            group.create_task(driver.rage(size.havoc_s, always=size.always))
        settled = await _comes_to_rest(rig, wards, size.settle_s)
        await driver.measure()
        notes = {number: standin.notes_of(number) for number in standin.tickets}
        async with rig.superuser() as superuser:
            evidence = await collect(
                superuser,
                rig.database,
                [ward.watched for ward in wards],
                log=sender.log,
                calls=sink.calls,
                notes=notes,
                samples=driver.samples,
                settled=settled,
            )
        await close_wards(wards)
    return Wave(seed, judge(evidence), driver, evidence)


async def _load(
    ward: Ward, rng: random.Random, size: Size, sink_url: str, desk_url: str, standin: ServiceDeskStandIn
) -> list[Sent]:
    await ward.add_runbooks()
    await ward.add_desk(desk_url, TECHNICIAN_KEY)
    found = histories(ward, rng, keys=size.alert_keys, start=SystemClock().now())
    found += tickets(ward, standin, count=size.tickets)
    for number in range(size.services):
        found.append(await ward.add_service(sink_url, f"s{number}", repeat="keyed" if number % 2 else "once"))
    return found


async def _comes_to_rest(rig: Rig, wards: list[Ward], timeout_s: float) -> bool:
    async def rested() -> bool:
        rig.supervise()
        return sum([await ward.open_work() for ward in wards]) == 0

    try:
        await wait_until(rested, timeout_s=timeout_s, every_s=0.5)
    except AssertionError:
        return False
    return True


async def soak(*, minutes: float, seed: int | None, size: Size, folder: Path) -> int:
    """This will run waves until the time is up and return the exit code."""
    rig, until, waves = Rig(folder), time.monotonic() + minutes * 60, 0
    try:
        await rig.open()
        while waves == 0 or (seed is None and time.monotonic() < until):
            if not await _one_wave(rig, seed if seed is not None else secrets.randbelow(2**31), size):
                return 1
            waves += 1
    finally:
        await rig.close()
    print(f"{waves} waves without a violation")
    return 0


async def _one_wave(rig: Rig, seed: int, size: Size) -> bool:
    """Run it, and say whether all was well. Its seed is printed first: a wave may hang, or end in an error."""
    driver, again = driver_of(rig, seed), f"again: python -m tests.faults.soak --seed {seed} --havoc {size.havoc_s:g}"
    print(f"seed {seed}: begins", flush=True)
    try:
        wave = await run_wave(rig, seed, size, driver)
    except BaseException as error:
        print("\n".join([f"seed {seed}: broke off: {error!r}", *told(driver), again]), flush=True)
        raise
    print(wave.report(), flush=True)
    if wave.violations:
        for name in ("api", "relay", "worker"):
            print(f"--- {name}\n{rig.stack.tail(name)}")
        print(again, flush=True)
    return not wave.violations


def main() -> None:
    """This will read the command line and soak."""
    parser = argparse.ArgumentParser(prog="soak", description="Seeded faults on a whole deployment.")
    parser.add_argument("--minutes", type=float, default=30.0, help="begin no wave after this time (%(default)s)")
    parser.add_argument("--seed", type=int, help="run the one wave of this seed")
    parser.add_argument("--havoc", type=float, default=Size.havoc_s, help="seconds of blows in a wave (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-soak-") as folder:
        size = Size(havoc_s=options.havoc)
        sys.exit(asyncio.run(soak(minutes=options.minutes, seed=options.seed, size=size, folder=Path(folder))))


if __name__ == "__main__":
    main()
