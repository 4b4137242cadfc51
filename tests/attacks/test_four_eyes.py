"""C17: one person with several tokens who agrees to what he asked for himself."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from app.auth.rules import Role
from tests.attacks.consent import People, asked, decide, people
from tests.remediation.conftest import Ward, ward

__all__ = ["people", "ward"]


async def refused(who: httpx.AsyncClient, run: dict[str, object], says: str) -> None:
    answer = await decide(who, run)
    assert (answer.status_code, answer.json()["code"]) == (403, "run.approver_not_allowed"), answer.text
    assert says in answer.json()["detail"]


async def restarted(ward: Ward) -> list[str]:
    await ward.let_pass(3)
    return ward.patient.writes


@pytest.mark.attack("C17")
async def test_nobody_agrees_to_his_own_run_nor_below_the_role(ward: Ward, people: People) -> None:
    run = await asked(ward, people[Role.RESPONDER])
    await refused(people[Role.RESPONDER], run, "Whoever started the run")
    assert (await decide(people[Role.VIEWER], run)).status_code == 403
    assert await restarted(ward) == []
    assert (await decide(people[Role.ENGINEER], run)).status_code == 200
    assert await restarted(ward) == ["POST /restart"]


@pytest.mark.attack("C17")
async def test_a_token_that_the_starter_made_is_the_starters(ward: Ward, people: People) -> None:
    """Made long before, with another admin token between, and that one revoked meanwhile."""
    admin = people[Role.ADMIN]
    child = await people.make(admin, Role.ADMIN)
    grandchild = await people.make(child, Role.RESPONDER)
    assert (await admin.post(f"/v1/tokens/{(await child.get('/v1/me')).json()['token_id']}/revoke")).status_code == 200
    ward.clock.advance(timedelta(days=1))
    run = await asked(ward, admin)
    await refused(grandchild, run, "come from one another")
    assert await restarted(ward) == []


@pytest.mark.attack("C17")
async def test_the_maker_of_the_starters_token_may_be_the_starter(ward: Ward, people: People) -> None:
    """The other way about: an admin starts with a token that he made for it, and agrees with his own."""
    admin = people[Role.ADMIN]
    child = await people.make(admin, Role.ADMIN)
    starter = await people.make(child, Role.RESPONDER)
    run = await asked(ward, starter)
    for maker in (admin, child):
        await refused(maker, run, "come from one another")
    assert await restarted(ward) == []


@pytest.mark.attack("C17")
async def test_a_token_that_is_made_for_the_run_at_hand_does_not_agree(ward: Ward, people: People) -> None:
    """Whoever made it: here the starter's maker makes one more, beside the starter's."""
    starter = await people.make(people[Role.ADMIN], Role.RESPONDER)
    run = await asked(ward, starter)
    ward.clock.advance(timedelta(seconds=1))
    await refused(await people.make(people[Role.ADMIN], Role.ENGINEER), run, "after the run began")
    assert await restarted(ward) == []


@pytest.mark.attack("C17")
async def test_two_tokens_of_one_line_are_not_the_two_people_that_danger_takes(ward: Ward, people: People) -> None:
    admin = people[Role.ADMIN]
    child = await people.make(admin, Role.ENGINEER)
    for first, second in ((admin, child), (child, admin)):
        run = await asked(ward, people[Role.RESPONDER])
        await ward.change("update run_steps set approval = jsonb_set(approval, '{needed}', '2') where key = 'sure'")
        assert (await decide(first, run)).json()["state"] == "awaiting_approval"
        await refused(second, run, "one that has decided already")
        assert await restarted(ward) == []
        assert (await decide(people[Role.ENGINEER], run)).json()["state"] == "running"
        assert await restarted(ward) == ["POST /restart"]
        ward.patient.writes.clear()


@pytest.mark.attack("C17")
async def test_a_tenant_whose_first_admin_made_everybodys_tokens_can_work(ward: Ward, people: People) -> None:
    """Nobody could agree to anything if a common maker alone stood against it."""
    first = people[Role.ADMIN]
    alice, bob = [await people.make(first, Role.RESPONDER) for _ in range(2)]
    run = await asked(ward, alice)
    assert (await decide(bob, run)).status_code == 200
    assert await restarted(ward) == ["POST /restart"]


@pytest.mark.attack("C17")
async def test_a_line_of_tokens_without_end_is_not_followed(ward: Ward, people: People) -> None:
    """Neither a way to be lost from sight, nor one to have us read for ever."""
    last = people[Role.ADMIN]
    for _ in range(51):
        last = await people.make(last, Role.ADMIN)
    run = await asked(ward, people[Role.RESPONDER])
    await refused(last, run, "too long")
    await people[Role.RESPONDER].post(f"/v1/runs/{run['id']}/cancel", json={"reason": "next"})
    await ward.work()
    other = await asked(ward, last)
    await refused(people[Role.ENGINEER], other, "come from one another")
