"""Storms: limits that turn a flood away with a reason to come back, and alerts that collapse and are all accounted for."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.settings import Settings
from tests.factories.ingest import alert_body, committed_source, make_sender, signed_headers
from tests.faults.murmur import murmur
from tests.faults.scene import Scene
from tests.faults.sender import Sent
from tests.faults.wards import close_wards, make_ward
from tests.fixtures.database import make_tenant
from tests.fixtures.wait import wait_until


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


_STORMS = (
    "select s.collapsed = (select count(*) from alerts a where a.tenant_id = s.tenant_id and a.incident_id = s.incident_id)"
    " and s.firing_p0 + s.firing_p1 + s.firing_p2 + s.firing_p3 = (select count(*) from alerts a"
    " where a.tenant_id = s.tenant_id and a.incident_id = s.incident_id and a.status = 'firing')"
    " from storms s where s.tenant_id = $1"
)


def flood(scene: Scene, number: int, *, size: int, status: str = "firing") -> Sent:
    """One delivery of alerts that nothing groups, no two alike; one in fifty is of P0."""
    alerts = [
        {
            "id": f"{scene.ward.tag}-flood-{number}-{n}",
            "title": "Everything is down",
            "status": status,
            "severity": "P0" if n % 50 == 0 else "P2",
            "labels": {"alertname": "Flood", "host": f"h{n}"},
        }
        for n in range(size)
    ]
    name = f"{scene.ward.tag}-{status}-{number}"
    return Sent(scene.ward.monitor, name, orjson.dumps(alerts), name)


@pytest.mark.fault("F36")
async def test_a_worker_killed_in_a_storm_loses_and_doubles_no_count(scene: Scene) -> None:
    """3,000 distinct alerts instead of 100,000, and their resolves, through real processes; the worker dies twice."""
    # Quiet soon: a timer that waits for the storm to end is open work.
    rule = {"TOCSIN_STORMS__OPENS": "20", "TOCSIN_STORMS__P0_OPENS": "10", "TOCSIN_STORMS__QUIET_S": "2"}
    await scene.arm("worker", "", **rule)
    await scene.send(*(flood(scene, number, size=100) for number in range(30)))
    await scene.until("alerts", "true", least=300)
    scene.stack.restart("worker", **rule)
    await scene.let_leases_run_out()
    await scene.verdict()
    assert await scene.count("alerts") == 3000, "every alert is there"
    assert await scene.count("storms") == 1
    assert await scene.ward.value(_STORMS) is True, "the counts are those of the alerts"
    assert await scene.count("incidents") <= 20 + 10 + 1
    assert await scene.count("incidents", "severity = 'P0'") >= 10
    await scene.send(*(flood(scene, number, size=100, status="resolved") for number in range(30)))
    await scene.until("alerts", "status = 'resolved'", least=300)
    scene.stack.restart("worker", **rule)
    await scene.let_leases_run_out()
    await scene.verdict()
    assert await scene.count("alerts", "status = 'firing'") == 0
    assert await scene.ward.value(_STORMS) is True
    assert await scene.count("incidents", "state not in ('resolved', 'closed')") == 0
    assert await scene.count("deliveries", "state = 'processed'") == 60


@pytest.mark.fault("F35")
async def test_a_tenant_over_its_limit_waits_and_loses_nothing_and_a_quiet_one_is_heard(scene: Scene) -> None:
    """120 deliveries of 50 alerts at once against a limit of 10 a second: turned away, sent again, all taken."""
    limits = {"TOCSIN_LIMITS__TENANT_DELIVERIES_PER_S": "10", "TOCSIN_LIMITS__BURST_S": "1"}
    await scene.arm("api", "", TOCSIN_LIMITS__RETRY_AFTER_S="1", **limits)
    quiet = await make_ward(scene.rig, f"quiet{scene.ward.tag}")
    source = scene.ward.monitor.source_id
    assert (await scene.ward.api.patch(f"/v1/sources/{source}", json={"group_by": ["alertname"]})).status_code == 200
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.send(*(flood(scene, number, size=50) for number in range(120))))
        quietly = group.create_task(murmur(scene, quiet, count=20, pause_s=0.2))
    assert sorted(quietly.result())[-2] <= 24, "heard in turn, between those of the flood that were under way"
    await scene.verdict(also=[quiet])
    assert await scene.count("deliveries", "state = 'processed'") == 120
    assert await quiet.value("select count(*) from alerts where tenant_id = $1") == 20

    async def counted() -> bool:
        return bool(await scene.count("source_refusals", "reason = 'rate_limited'"))

    await wait_until(counted, timeout_s=10, every_s=0.1, what="the refusals are written down")
    await close_wards([quiet])
