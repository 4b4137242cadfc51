"""A worker that stood still between the intent of an act and the act: nothing was sent, and the run knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from app.auth.rules import Role
from app.db.jobs.effects import MARGIN_S
from app.remediation.rules.states import Outcome
from app.settings import Settings
from tests.remediation.conftest import Callers, Ward


@contextmanager
def too_late_to_send(ward: Ward) -> Iterator[None]:
    """Leases that leave no time for a call: the deadline has passed when the intent is written."""
    settings = ward.resources.get(Settings)
    jobs = settings.jobs.model_copy(update={"lease_s": MARGIN_S})
    ward.resources.provide(Settings, settings.model_copy(update={"jobs": jobs}))
    yield
    ward.resources.provide(Settings, settings)


@pytest.fixture
async def late(ward: Ward) -> UUID:
    """A run whose act was intended and not sent."""
    run_id = await ward.start()
    with too_late_to_send(ward):
        await ward.work()
    assert ((await ward.run(run_id)).outcome, ward.patient.writes) == (None, [])
    return run_id


async def test_the_act_is_done_a_moment_later(ward: Ward, late: UUID) -> None:
    await ward.let_pass(4)
    assert ((await ward.run(late)).outcome, ward.patient.restarts) == (Outcome.RECOVERED, 1)


async def test_a_run_that_is_cancelled_meanwhile_is_cancelled_and_not_unclear(
    ward: Ward, callers: Callers, late: UUID
) -> None:
    await callers.call(Role.RESPONDER, "POST", f"/v1/runs/{late}/cancel", json={"reason": "a drill"})
    await ward.work()
    assert ((await ward.run(late)).outcome, ward.patient.writes) == (Outcome.CANCELLED, [])
