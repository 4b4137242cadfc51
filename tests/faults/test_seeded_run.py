"""A short run of what ``make soak`` runs for hours: seeded blows on the real stack, judged by the checker."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.core.failpoints import FAILPOINTS
from tests.faults import soak
from tests.faults.checker import Violation
from tests.faults.driver import BLOWS, PLACES, Driver, kill_at
from tests.faults.evidence import Evidence
from tests.faults.rig import Rig
from tests.faults.sender import Log
from tests.faults.soak import Size, Wave, driver_of, run_wave

SEED = 20261121
# Whatever else the seed has time for: one of each way in which work is lost, held up, forgotten, refused or mistimed.
ALWAYS = ("fill_broker", "fill_disk", "flush", "kill", "kill_inside", "oversleep", "pause", "skew")
SIZE = Size(havoc_s=40.0, settle_s=90.0, alert_keys=12, tickets=3, services=4, always=ALWAYS)


@pytest.mark.timeout(300)
async def test_no_invariant_breaks_under_seeded_blows(rig: Rig) -> None:
    await rig.heal()
    driver = driver_of(rig, SEED)
    wave = await run_wave(rig, SEED, SIZE, driver)
    await rig.calm()
    assert wave.violations == [], wave.report()
    assert set(ALWAYS) <= set(driver.counts), wave.report()
    log = wave.evidence.log
    assert all(one.is_acknowledged for one in log.sent), "in the end every sender is heard"
    assert wave.evidence.calls, "effects were made"


async def test_a_process_that_dies_at_its_place_is_counted_and_one_that_does_not_is_not(rig: Rig) -> None:
    await rig.heal()
    driver = Driver(rig, random.Random(1), struck=["one", "two"])
    await kill_at(driver, "sweep.before_extra", nth=1, within_s=30)
    await kill_at(driver, "ingest.before_insert", nth=1, within_s=0.1)
    await rig.calm()
    assert driver.deaths == {"sweep.before_extra": 1, "ingest.before_insert": 0}
    assert driver.struck == ["one", "two died was not reached"]
    assert set(PLACES) == set(FAILPOINTS)


class NoRig:
    """A deployment to which nothing happens."""

    async def answers(self) -> None:
        """It always does."""

    heal = answers

    def supervise(self) -> None:
        """Nothing ends."""


async def test_a_seed_decides_the_blows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def strike(driver: Driver) -> None:
        driver.struck[-1] += f" {driver.victim()}"

    async def at_once(driver: Driver, *least_and_most: float) -> None:
        driver.rng.uniform(*least_and_most)

    async def nothing(driver: Driver) -> None:
        """Measures nothing."""

    for name in BLOWS:
        monkeypatch.setitem(BLOWS, name, strike)
    monkeypatch.setattr(Driver, "pass_time", at_once)
    monkeypatch.setattr(Driver, "measure", nothing)

    async def struck(seed: int) -> list[str]:
        driver = driver_of(NoRig(), seed)  # type: ignore[arg-type]
        await driver.rage(0, always=ALWAYS)
        assert dict(driver.counts) == dict.fromkeys(ALWAYS, 1)
        for _ in range(2 * len(BLOWS) - len(ALWAYS)):
            await driver.strike(driver.draw())
        assert dict(driver.counts) == dict.fromkeys(BLOWS, 2), "each kind once before any comes again"
        return [blow.split(" s  ")[1] for blow in driver.struck]

    assert await struck(1) == await struck(1) != await struck(2)


class ClosedRig:
    """One that is never opened."""

    def __init__(self, folder: Path) -> None:
        self.stack = self

    async def open(self) -> None:
        """Nothing to open."""

    close = open

    def tail(self, name: str) -> str:
        return f"the log of {name}"


async def test_a_violation_or_an_error_ends_the_soak_with_its_seed_and_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def one_wave(rig: Rig, seed: int, size: Size, driver: Driver) -> Wave:
        assert f"seed {seed}: begins" in capsys.readouterr().out, "known whatever becomes of the wave"
        driver.struck.append("   0.1 s  kill worker")
        if breaks:
            raise breaks.pop()
        return Wave(seed, found, driver, Evidence(Log(), [], []))

    breaks: list[Exception] = []
    found = [Violation("I1", "a receipt of nothing")]
    monkeypatch.setattr(soak, "Rig", ClosedRig)
    monkeypatch.setattr(soak, "run_wave", one_wave)
    assert await soak.soak(minutes=1, seed=7, size=Size(), folder=tmp_path) == 1
    said = capsys.readouterr().out
    for part in ("seed 7: ", "kill worker", "I1: a receipt of nothing", "soak --seed 7 --havoc 40", "the log of api"):
        assert part in said
    found.clear()
    assert await soak.soak(minutes=0, seed=None, size=Size(), folder=tmp_path) == 0
    assert "without a violation" in capsys.readouterr().out
    breaks.append(ConnectionError("the rig itself broke"))
    with pytest.raises(ConnectionError):
        await soak.soak(minutes=1, seed=8, size=Size(), folder=tmp_path)
    said = capsys.readouterr().out
    for part in ("the rig itself broke", "kill worker", "again: python -m tests.faults.soak --seed 8 --havoc 40"):
        assert part in said
