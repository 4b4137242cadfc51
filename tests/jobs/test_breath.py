"""Who shares a worker's loop: long work lets others in, and a backlog waits for what is fresh, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from app.core import breath
from app.core.breath import Breath, RightOfWay, breathe, breathe_anew, breathing

NEVER_S = 3600.0


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends by itself, unless a test says so."""
    monkeypatch.setattr(breath, "HOLDS_S", NEVER_S)
    monkeypatch.setattr(breath, "GIVES_S", NEVER_S)


def given_up(way: RightOfWay) -> Breath:
    """Return the breath of work that has no right of its own left."""
    hold = way.take()
    hold.end()
    return Breath(NEVER_S, hold=hold)


async def test_work_that_has_given_up_its_right_waits_for_who_has_it() -> None:
    way, order = RightOfWay(), []
    own = given_up(way)
    fresh = way.take()

    async def backlog() -> None:
        await own.take()
        order.append("backlog")

    waiting = asyncio.create_task(backlog())
    for _ in range(5):
        await asyncio.sleep(0)
    order.append("fresh")
    fresh.end()
    await waiting
    assert order == ["fresh", "backlog"]


async def test_work_that_has_the_way_itself_waits_for_nobody() -> None:
    way = RightOfWay()
    own, other = way.take(), way.take()
    async with asyncio.timeout(NEVER_S) as limit:
        limit.reschedule(asyncio.get_running_loop().time())  # already over: the first wait would end it
        await Breath(NEVER_S, hold=own).take()
        await Breath(NEVER_S, hold=other).take()
        limit.reschedule(None)


async def test_a_hold_ends_by_itself_and_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breath, "HOLDS_S", 0.001)
    way = RightOfWay()
    forgotten = way.take()
    await way.wait_free(most_s=NEVER_S)
    assert forgotten.is_over
    monkeypatch.setattr(breath, "HOLDS_S", NEVER_S)
    other = way.take()
    forgotten.end()
    assert not way.is_free, "the other's right is not given up by whoever ends twice"
    other.end()
    assert way.is_free


async def test_a_backlog_comes_to_an_end_although_there_is_always_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breath, "GIVES_S", 0.002)
    way, asked = RightOfWay(), []
    own = given_up(way)
    way.take()
    wait_free = way.wait_free

    async def measured(*, most_s: float) -> float:
        asked.append(most_s)
        return await wait_free(most_s=most_s)

    monkeypatch.setattr(way, "wait_free", measured)
    for _ in range(50):
        await own.take()
    assert asked[0] == 0.002
    assert sum(asked) < 0.004, "what was waited once is not waited again"
    with breathing(own):
        await breathe_anew()
        await breathe()
    assert asked.count(0.002) == 3, "before the next piece, and in it"


async def test_long_work_lets_others_in_at_every_stretch() -> None:
    order = []

    async def other() -> None:
        order.append("other")

    async def work(stretch_s: float) -> None:
        with breathing(Breath(stretch_s)):
            for step in range(2):
                order.append(str(step))
                await breathe()

    async with asyncio.TaskGroup() as group:
        group.create_task(work(0.0))
        group.create_task(other())
    assert order == ["0", "other", "1"]
    order.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(NEVER_S))
        group.create_task(other())
    assert order == ["0", "1", "other"]
