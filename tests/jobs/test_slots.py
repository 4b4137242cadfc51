"""What hangs holds up its own queue: the places of a worker process."""

from __future__ import annotations

import asyncio
import random

import pytest

from workers.slots import Slots

QUEUES = ("intake", "remediation", "enhancement")


async def test_a_queue_takes_half_at_the_most_and_the_intake_what_is_free() -> None:
    slots = Slots(QUEUES, 16)
    assert [slots.free(queue) for queue in QUEUES] == [16, 8, 8]
    for _ in range(8):
        assert slots.take_now("enhancement")
    assert not slots.take_now("enhancement")
    assert [slots.free(queue) for queue in QUEUES] == [8, 4, 0], "four of eight are kept for the intake, four for it"
    for _ in range(4):
        assert slots.take_now("remediation")
    assert [slots.free(queue) for queue in QUEUES] == [4, 0, 0], "two queues that hang leave the intake its share"
    for _ in range(4):
        assert slots.take_now("intake")
    assert slots.running == 16
    assert not slots.take_now("intake")


@pytest.mark.parametrize(("queues", "total"), [(("enhancement",), 5), (QUEUES, 3)])
async def test_nothing_is_kept_where_there_is_nobody_to_keep_it_for_or_too_little(
    queues: tuple[str, ...], total: int
) -> None:
    slots = Slots(queues, total)
    assert slots.free("enhancement") == total


async def test_places_are_handed_on_in_turn() -> None:
    slots, begun = Slots(QUEUES, 4), []
    for _ in range(2):
        assert slots.take_now("enhancement")

    async def wait(name: int) -> None:
        await slots.take("enhancement")
        begun.append(name)

    waiting = [asyncio.create_task(wait(name)) for name in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    for expected in ([1], [1, 2]):
        slots.give("enhancement")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == expected
    await asyncio.gather(*waiting, return_exceptions=True)
    assert slots.running == 2
    slots.give("enhancement")
    slots.give("enhancement")
    assert (slots.running, slots.free("intake")) == (0, 4)


async def test_a_place_that_comes_with_the_cancellation_is_given_back() -> None:
    slots = Slots(("remediation",), 1)
    assert slots.take_now("remediation")
    waiting = asyncio.create_task(slots.take("remediation"))
    await asyncio.sleep(0)
    slots.give("remediation")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert slots.free("remediation") == 1


async def test_no_order_of_jobs_loses_a_place() -> None:
    rng, slots = random.Random(11), Slots(QUEUES, 8)

    async def job(queue: str) -> None:
        await slots.take(queue)
        assert slots.running <= 8
        try:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
        finally:
            slots.give(queue)

    jobs = [asyncio.create_task(job(rng.choice(QUEUES))) for _ in range(300)]
    for _ in range(100):
        await asyncio.sleep(0)
        rng.choice(jobs).cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert slots.running == 0
    assert [slots.free(queue) for queue in QUEUES] == [8, 4, 4]
