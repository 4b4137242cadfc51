"""A short run of what ``make soak`` runs for hours: seeded blows on the real stack, judged by the checker."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import soak
from tests.faults.checker import Violation
from tests.faults.driver import BLOWS, Driver
from tests.faults.evidence import Evidence
from tests.faults.rig import Rig
from tests.faults.sender import Log
from tests.faults.soak import Size, Wave, run_wave

SEED = 20261121


@pytest.mark.timeout(240)
async def test_no_invariant_breaks_under_seeded_blows(rig: Rig) -> None:
    await rig.heal()
    wave = await run_wave(rig, SEED, Size(havoc_s=22.0, settle_s=90.0, alert_keys=12, tickets=3, services=4))
    await rig.calm()
    assert wave.violations == [], wave.report()
    log = wave.evidence.log
    assert all(one.is_acknowledged for one in log.sent), "in the end every sender is heard"
    assert len(wave.driver.struck) >= 4
    assert wave.evidence.calls, "effects were made"


def test_a_seed_decides_the_blows() -> None:
    def order(seed: int) -> list[str]:
        names = list(BLOWS)
        random.Random(seed).shuffle(names)
        return names

    assert order(1) == order(1) != order(2)


async def test_a_violation_ends_the_soak_with_its_seed_and_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class NoRig:
        def __init__(self, folder: Path) -> None:
            self.stack = self

        async def open(self) -> None:
            """Nothing to open."""

        close = open

        def tail(self, name: str) -> str:
            return f"the log of {name}"

    async def one_wave(rig: Rig, seed: int, size: Size) -> Wave:
        driver = Driver.__new__(Driver)
        driver.struck, driver.counts, driver.samples = ["   0.1 s  kill worker"], Counter(), None  # type: ignore[assignment]
        return Wave(seed, found, driver, Evidence(Log(), [], []))

    found = [Violation("I1", "a receipt of nothing")]
    monkeypatch.setattr(soak, "Rig", NoRig)
    monkeypatch.setattr(soak, "run_wave", one_wave)
    assert await soak.soak(minutes=1, seed=None, size=Size(), folder=tmp_path) == 1
    said = capsys.readouterr().out
    assert "seed " in said
    assert "kill worker" in said
    assert "I1: a receipt of nothing" in said
    assert "again: python -m tests.faults.soak --seed" in said
    found.clear()
    assert await soak.soak(minutes=0, seed=None, size=Size(), folder=tmp_path) == 0
    assert "without a violation" in capsys.readouterr().out
