"""Looking up and remembering: bounded whatever strangers ask for, and never at the cost of what is known."""

from __future__ import annotations

import asyncio

import pytest

from app.core.errors import Unavailable
from app.ingest.remembered import STRANGERS_MAX, Remembered
from app.settings.ingest import IngestSettings
from tests.fixtures.wait import wait_until


class World:
    """What there is, and a database that answers when it is let; ``ticks`` is moved by hand."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.ticks = 0.0

    async def look(self, key: str) -> str | None:
        self.asked.append(key)
        await self.answers.wait()
        return key.upper() if key in self.there else None

    def memory(self, **settings: float) -> Remembered[str, str]:
        return Remembered(self.look, settings=IngestSettings(**settings), ticks=lambda: self.ticks)


async def test_what_is_there_and_what_is_not_are_both_remembered_for_a_while() -> None:
    world = World("a")
    memory = world.memory(source_cache_ttl_s=3, unknown_cache_ttl_s=3)
    for _ in range(2):
        assert (await memory.find("a"), await memory.find("b")) == ("A", None)
    assert (world.asked, memory.peek("a"), memory.peek("b")) == (["a", "b"], "A", None)
    world.ticks = 3.0
    assert memory.peek("a") is None
    assert (await memory.find("a"), await memory.find("b")) == ("A", None)
    assert world.asked == ["a", "b", "a", "b"]


async def test_who_asks_for_the_same_waits_for_one_look_up_and_hanging_up_fails_nobody_else() -> None:  # F47
    world = World("a")
    world.answers.clear()
    memory = world.memory()
    first, *others = [asyncio.create_task(memory.find("a")) for _ in range(5)]
    await wait_until(lambda: bool(world.asked))
    first.cancel()
    world.answers.set()
    assert await asyncio.gather(*others) == ["A"] * 4
    assert world.asked == ["a"]


async def test_what_is_known_never_waits_behind_what_strangers_make_up() -> None:  # C25
    world = World("a")
    memory = world.memory(source_cache_ttl_s=3)
    await memory.find("a")
    world.ticks = 3.0
    world.answers.clear()
    strangers = [asyncio.create_task(memory.find(f"stranger {number}")) for number in range(50)]
    await wait_until(lambda: len(world.asked) > 1)
    mine = asyncio.create_task(memory.find("a"))
    await wait_until(lambda: world.asked[-1] == "a")
    world.answers.set()
    assert await mine == "A"
    assert set(await asyncio.gather(*strangers)) == {None}


async def test_what_strangers_have_looked_up_is_bounded_while_the_database_hangs() -> None:  # I8
    world = World()
    world.answers.clear()
    memory = world.memory(commit_wait_s=0.05)
    asking = [asyncio.create_task(memory.find(str(number))) for number in range(STRANGERS_MAX + 10)]
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
    assert len(memory._looking) == STRANGERS_MAX
    world.answers.set()
    await wait_until(lambda: not memory._looking)
    assert await memory.find("later") is None


async def test_what_was_known_is_used_a_little_longer_while_the_database_hangs() -> None:
    world = World("a")
    memory = world.memory(source_cache_ttl_s=3, source_cache_stale_s=30, commit_wait_s=0.01)
    await memory.find("a")
    world.answers.clear()
    world.ticks = 32.9
    assert await memory.find("a") == "A"
    world.ticks = 33.0
    with pytest.raises(Unavailable):
        await memory.find("a")
    world.answers.set()
    await wait_until(lambda: not memory._looking)
