"""What is read on of a refused body: enough for its sender to hear why, and no more than a flood is worth."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.ingest import bodies
from app.ingest.bodies import DRAINED_BYTES, Drains

CHUNK = 65_536


def sender(parts: int) -> tuple[Any, list[int]]:
    """Return what receives from somebody who sends so many parts, and the sizes that were taken from them."""
    taken: list[int] = []

    async def receive() -> dict[str, Any]:
        taken.append(CHUNK)
        return {"type": "http.request", "body": b"x" * CHUNK, "more_body": len(taken) < parts}

    return receive, taken


@pytest.mark.parametrize(("parts", "read"), [(1, 1), (10, 10), (1_000, DRAINED_BYTES // CHUNK)])
async def test_a_body_is_read_to_its_end_or_to_a_bound(parts: int, read: int) -> None:
    receive, taken = sender(parts)
    await Drains().drain(receive)
    assert len(taken) == read


async def test_who_hangs_up_is_not_waited_for() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    await Drains().drain(receive)


async def test_who_says_nothing_more_is_let_go_and_many_at_once_are_not_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "DRAINED_S", 3600.0)
    drains = Drains(at_once=2)
    silent = asyncio.Event()

    async def nothing() -> dict[str, Any]:
        await silent.wait()
        return {"type": "http.disconnect"}

    held = [asyncio.create_task(drains.drain(nothing)) for _ in range(2)]
    await asyncio.sleep(0)
    receive, taken = sender(1)
    await drains.drain(receive)
    assert taken == [], "a third is hung up on at once"
    silent.set()
    await asyncio.gather(*held)
    await drains.drain(receive)
    assert len(taken) == 1, "places are given back"
    monkeypatch.setattr(bodies, "DRAINED_S", 0.0)
    silent.clear()
    await drains.drain(nothing)
