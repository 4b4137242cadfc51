"""Storms: limits that turn a flood away with a reason to come back, and alerts that collapse and are all accounted for."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.settings import Settings
from tests.factories.ingest import alert_body, committed_source, make_sender, signed_headers
from tests.fixtures.database import make_tenant


@pytest.mark.fault("F37")
async def test_a_herd_that_retries_at_once_is_absorbed_or_turned_away_and_loses_nothing(
    scratch_resources: Resources,
) -> None:
    """200 tries of each of 20 requests, as Alertmanager makes in a ten-minute outage, all at once."""
    settings = scratch_resources.get(Settings)
    limits = settings.limits.model_copy(update={"tenant_deliveries_per_s": 200.0, "burst_s": 1.0})
    scratch_resources.provide(Settings, settings.model_copy(update={"limits": limits}))
    sender = make_sender(scratch_resources)
    database = scratch_resources.get(Database)
    tenant = await make_tenant(database)
    source = await committed_source(scratch_resources, tenant)
    bodies = [alert_body() for _ in range(20)]
    now = sender.resources.get(Clock).now()  # type: ignore[type-abstract]
    tries = [(body, signed_headers(source, body, now, f"msg_{index}")) for index, body in enumerate(bodies)]

    async def post(body: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
        return await sender.client.post(source.url_path, content=body, headers=headers)

    receipts: dict[bytes, set[str]] = {body: set() for body in bodies}
    waiting = [one for one in tries for _ in range(50)]
    while waiting:
        answers = await asyncio.gather(*(post(*one) for one in waiting))
        assert {answer.status_code for answer in answers} <= {202, 503}
        for (body, _), answer in zip(waiting, answers, strict=True):
            if answer.status_code == 202:
                receipts[body].add(answer.json()["receipt_id"])
        waiting = [one for one, answer in zip(waiting, answers, strict=True) if answer.status_code == 503]
        await asyncio.sleep(0.05)  # as the senders do, who were asked to wait
    assert all(len(found) == 1 for found in receipts.values()), "every try of a request got the same receipt"
    async with tenant_session(database, tenant) as session:
        assert (await session.execute(text("select count(*) from deliveries"))).scalar_one() == 20
    await sender.client.aclose()
    await sender.app.aclose()
