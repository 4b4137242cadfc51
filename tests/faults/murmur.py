"""A quiet tenant beside a loud one."""

from __future__ import annotations

import asyncio

import orjson

from tests.faults.scene import Scene
from tests.faults.sender import Sent
from tests.faults.wards import Ward


async def murmur(scene: Scene, quiet: Ward, *, count: int, pause_s: float) -> list[int]:
    """This will send so many single alerts, each taken at its first try, and return how many answers overtook each."""
    overtaken: list[int] = []
    for number in range(count):
        one = Sent(quiet.monitor, f"q-{number}", orjson.dumps({"id": f"q{number}", "title": "q"}), f"q{number}")
        before = scene.sender.log.answers.total()
        assert (await scene.post(one)).status_code == 202, "never turned away for what another sends"
        overtaken.append(scene.sender.log.answers.total() - before)
        await asyncio.sleep(pause_s)
    return overtaken
