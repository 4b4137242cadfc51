"""The failpoints themselves: what the setting may say, that each place is in the code, and that production has none."""

from __future__ import annotations

import ast
import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core import failpoints
from app.core.failpoints import FAILPOINTS, BadFailpoint, InjectedFailure, armed, failpoint, parse
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def named_in(folder: Path, *, calling: str) -> Counter[str]:
    """The literal first arguments of the calls of one function, anywhere below a folder."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == calling:
                argument = node.args[0]
                assert isinstance(argument, ast.Constant), f"{path}:{node.lineno} names no constant"
                found[str(argument.value)] += 1
    return found


def test_every_registered_place_is_in_the_code_and_no_other() -> None:
    found = named_in(ROOT / "app", calling="failpoint") + named_in(ROOT / "workers", calling="failpoint")
    assert set(found) == set(FAILPOINTS)


def test_every_registered_place_is_hit_by_a_scenario() -> None:
    """By name in a test other than this one; what is armed but not reached fails there."""
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_f*.py") if path != Path(__file__))
    assert [name for name in FAILPOINTS if f'"{name}' not in texts] == []


@pytest.mark.parametrize(
    "setting",
    [
        "ingest.nowhere=kill",
        "ingest.before_insert=explode",
        "ingest.before_insert",
        "ingest.before_insert=kill@sometimes",
        "ingest.before_insert=kill@nth:x",
        "ingest.before_insert=sleep:soon",
    ],
)
def test_a_setting_that_names_nothing_known_refuses_to_start(setting: str) -> None:
    with pytest.raises(BadFailpoint):
        parse(setting)
    with pytest.raises(ValidationError):
        Settings(_env_file=None, failpoints=setting)


def test_production_refuses_failpoints_in_every_process() -> None:
    assert Settings(_env_file=None, failpoints="claim.before=kill").failpoints
    with pytest.raises(ValidationError, match="must be empty in production"):
        Settings(_env_file=None, environment="production", failpoints="claim.before=kill")


async def test_nothing_happens_where_nothing_is_armed() -> None:
    with armed({"claim.before": "error"}):
        await failpoint("claim.after_commit")
    await failpoint("claim.before")
    assert failpoints.hits["claim.after_commit"] == 0


async def test_an_action_acts_when_its_conditions_say() -> None:
    async def outcomes(action: str, times: int = 6) -> str:
        said = ""
        with armed({"claim.before": action}):
            for _ in range(times):
                try:
                    await failpoint("claim.before")
                    said += "."
                except InjectedFailure:
                    said += "x"
        return said

    assert await outcomes("error") == "xxxxxx"
    assert await outcomes("error@once") == "x....."
    assert await outcomes("error@nth:3") == "..x..."
    seeded = await outcomes("error@p:0.5@seed:7", 40)
    assert seeded == await outcomes("error@p:0.5@seed:7", 40)
    assert 5 < seeded.count("x") < 35


async def test_a_sleep_holds_one_task_and_a_freeze_all_of_them() -> None:
    async def over_when_a_neighbour_goes_on(action: str) -> bool:
        with armed({"claim.before": action}):
            waiting = asyncio.create_task(failpoint("claim.before"))
            await asyncio.sleep(0.01)
            over = waiting.done()
            await waiting
        return over

    assert await over_when_a_neighbour_goes_on("freeze:0.3s")
    assert not await over_when_a_neighbour_goes_on("sleep:0.3s")


async def test_a_place_that_is_not_armed_costs_next_to_nothing() -> None:
    before = time.thread_time()
    for _ in range(10_000):
        await failpoint("claim.before")
    assert (time.thread_time() - before) / 10_000 < 20e-6
