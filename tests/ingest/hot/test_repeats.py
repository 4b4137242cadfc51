"""The same request again, at once or later: one delivery for as long as its key is remembered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest.hot import IngestApp
from app.ingest.service import CreatedSource
from tests.factories.ingest import Sender, alert_body, committed_source
from tests.ingest.hot.conftest import deliveries


async def test_the_same_request_again_gets_the_first_receipt(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A21, A24: no Redis is involved
    body = alert_body()
    first = (await sender.send(source, body, delivery_id="msg_same")).json()
    again = await sender.send(source, body, delivery_id="msg_same")
    assert again.status_code == 202
    assert again.json() == {**first, "duplicate": True}
    assert len(await deliveries(database, tenant_id)) == 1


async def test_a_hundred_at_once_are_one_delivery(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A21, F33
    body = alert_body()
    answers = await asyncio.gather(*(sender.send(source, body, delivery_id="msg_storm") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["receipt_id"] for answer in answers}) == 1
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert len(await deliveries(database, tenant_id)) == 1


async def test_two_processes_with_the_same_request_store_it_once(
    sender: Sender, resources: Resources, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:
    other = IngestApp(resources)
    body = alert_body()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://b") as client:
        second = Sender(other, client, resources)
        answers = await asyncio.gather(
            *(which.send(source, body, delivery_id=f"msg_{i}") for i in range(20) for which in (sender, second))
        )
    await other.aclose()
    assert {answer.status_code for answer in answers} == {202}
    assert len(await deliveries(database, tenant_id)) == 20


async def test_one_id_for_two_bodies_stores_both_and_flags_the_second(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A22
    one, two = alert_body(title="one"), alert_body(title="two")
    first = (await sender.send(source, one, delivery_id="msg_x")).json()
    second = (await sender.send(source, two, delivery_id="msg_x")).json()
    again = (await sender.send(source, two, delivery_id="msg_x")).json()
    assert second["receipt_id"] != first["receipt_id"]
    assert again == {**second, "duplicate": True}
    stored = await deliveries(database, tenant_id)
    assert [row["body"] for row in stored] == [one, two]
    assert [row["conflicts_with"] for row in stored] == [None, UUID(first["receipt_id"])]


async def test_a_signed_id_is_remembered_as_long_as_its_profile_says_whatever_the_kind(
    sender: Sender, resources: Resources, tenant_id: TenantId, clock: FakeClock
) -> None:  # A20
    source = await committed_source(resources, tenant_id, kind="alertmanager", profile="pagerduty")
    body = b'{"version":"4","alerts":[],"event":{"id":"01DEN4HPBQAAAG05V5QQYBRZMF"}}'
    first = (await sender.send(source, body)).json()
    clock.advance(timedelta(days=3, seconds=-1))
    assert (await sender.send(source, body)).json() == {**first, "duplicate": True}


@pytest.mark.parametrize(
    ("changes", "window_s"),
    [
        pytest.param({"kind": "alertmanager"}, 60, id="the kind's"),
        pytest.param({"kind": "alertmanager", "config": {"replay_window_s": 120}}, 120, id="the source's"),
        pytest.param({"kind": "generic", "profile": "bearer"}, 600, id="the profile's"),
        pytest.param({"kind": "generic", "profile": "bearer", "config": {"replay_window_s": 5}}, 5, id="a script's"),
        pytest.param({"kind": "alertmanager", "profile": "standard_webhooks"}, 3 * 86_400, id="signed and fresh"),
    ],
)
async def test_a_replay_key_ends_with_its_window(
    sender: Sender, resources: Resources, tenant_id: TenantId, clock: FakeClock, changes: dict[str, Any], window_s: int
) -> None:
    source = await committed_source(resources, tenant_id, **changes)
    body = b'{"version":"4","groupKey":"k","alerts":[]}'
    first = (await sender.send(source, body, delivery_id="msg_w")).json()
    clock.advance(timedelta(seconds=window_s - 1))
    assert (await sender.send(source, body, delivery_id="msg_w")).json() == {**first, "duplicate": True}
    clock.advance(timedelta(seconds=2))
    later = (await sender.send(source, body, delivery_id="msg_w")).json()
    assert later["duplicate"] is False
    assert later["receipt_id"] != first["receipt_id"]
