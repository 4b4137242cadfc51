"""Scenarios on a rig of their own, each ending with the checker's verdict; ``@pytest.mark.fault("F07")`` names the fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from app.core import failpoints
from app.core.resources import Resources
from tests.enhancement.world import World, make_furnished_world
from tests.faults.case import case
from tests.faults.rig import Rig
from tests.faults.scene import Scene, open_scene
from tests.fixtures.chat import chat
from tests.fixtures.servicedesk import ServedDesk, servicedesk
from tests.ingest.conftest import scratch_sender
from tests.jobs.conftest import Bench, bench

__all__ = ["Bench", "bench", "case", "chat", "scratch_sender", "servicedesk"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(id): the fault of docs/faults.md that the test goes through")


@pytest.fixture(scope="session")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One deployment for all scenarios of this process; each brings its own tenants."""
    rig = Rig(tmp_path_factory.mktemp("rig"))
    try:
        await rig.open()
        yield rig
    finally:
        await rig.close()


@pytest.fixture
async def scene(rig: Rig) -> AsyncIterator[Scene]:
    """A tenant on the healed rig, with a sender, a sink and a desk; everything is healed again afterwards."""
    await rig.heal()
    async with open_scene(rig) as scene:
        yield scene
        await rig.calm()


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No failpoint of this process outlives its test."""
    yield
    failpoints.arm("")


@pytest.fixture
async def tickets(resources: Resources, servicedesk: ServedDesk) -> World:
    """A tenant with a desk, a solved ticket and an entry of documentation, in this process."""
    return await make_furnished_world(resources, servicedesk)
