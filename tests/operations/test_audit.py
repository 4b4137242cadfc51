"""``/v1/audit``: filters, pages and who may read (A4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.audit.service import Deed, record_many
from app.auth.rules import Role
from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session

ADA, BOB = Actor.system("ada"), Actor.system("bob")


@pytest.fixture
async def trail(database: Database, tenant_id: TenantId, other_tenant_id: TenantId, clock: FakeClock) -> None:
    """Six deeds, two an hour, and one of another tenant."""
    for hour in range(3):
        deeds = [
            Deed(actor=ADA, action="runbook.created", subject=f"runbook:{hour}", detail={"hour": hour}),
            Deed(actor=BOB, action="runbook.changed", subject=f"runbook:{hour}", detail={"hour": hour}),
        ]
        async with tenant_session(database, tenant_id) as session:
            await record_many(session, deeds, now=clock.now() + timedelta(hours=hour))
    async with tenant_session(database, other_tenant_id) as session:
        await record_many(session, [Deed(actor=ADA, action="runbook.created", subject="theirs")], now=clock.now())


class Reader:
    def __init__(self, api: httpx.AsyncClient, tokens: dict[Role, str]) -> None:
        self._api = api
        self._tokens = tokens

    async def get(self, role: Role = Role.ADMIN, **query: Any) -> httpx.Response:
        return await self._api.get("/v1/audit", params=query, headers={"Authorization": self._tokens[role]})

    async def items(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.get(**query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return [item for item in found if item["action"].startswith("runbook.")]


@pytest.fixture
def reader(api: httpx.AsyncClient, tokens: dict[Role, str], trail: None) -> Reader:
    return Reader(api, tokens)


async def test_the_newest_come_first_and_say_who_and_what(reader: Reader) -> None:
    items = await reader.items()
    assert [item["detail"]["hour"] for item in items] == [2, 2, 1, 1, 0, 0]
    first = items[0]
    assert (first["actor_kind"], first["actor_id"], first["actor_name"]) == ("system", "bob", "Tocsin bob")
    assert (first["action"], first["subject"]) == ("runbook.changed", "runbook:2")


async def test_filters_by_actor_action_and_time(reader: Reader, clock: FakeClock) -> None:
    assert {item["actor_id"] for item in await reader.items(actor="ada")} == {"ada"}
    assert {item["action"] for item in await reader.items(action="runbook.changed")} == {"runbook.changed"}
    since = (clock.now() + timedelta(hours=1)).isoformat()
    assert [item["detail"]["hour"] for item in await reader.items(since=since, actor="bob")] == [2, 1]


async def test_pages_hold_every_entry_once(reader: Reader) -> None:
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 4}
    while True:
        page = (await reader.get(**query)).json()
        assert len(page["items"]) <= 4
        seen += [item["seq"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == list(range(seen[0], 0, -1))
    assert len(seen) >= 6


async def test_a_cursor_holds_for_its_filters_only(reader: Reader) -> None:
    cursor = (await reader.get(limit=1, actor="ada")).json()["next_cursor"]
    assert (await reader.get(limit=1, actor="ada", cursor=cursor)).status_code == 200
    moved = await reader.get(limit=1, actor="bob", cursor=cursor)
    assert (moved.status_code, moved.json()["code"]) == (400, "cursor.invalid")


@pytest.mark.parametrize("since", ["2030-01-07T12:00:00", "yesterday", "9999-12-31T23:59:59-14:00"])
async def test_a_time_without_its_offset_is_refused(reader: Reader, since: str) -> None:
    assert (await reader.get(since=since)).status_code == 422


async def test_only_admins_read_it(reader: Reader) -> None:
    for role in (Role.VIEWER, Role.RESPONDER, Role.ENGINEER):
        assert (await reader.get(role)).status_code == 403
