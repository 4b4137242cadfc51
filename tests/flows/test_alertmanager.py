"""A real Alertmanager fires, repeats and resolves: one incident, bumped, resolved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.fixtures.alertmanager import StartAlertmanager
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

LABELS = {"alertname": "DiskFull", "instance": "db-1", "severity": "critical"}


async def tell(alertmanager: str, *, used: str = "97 %", ends_at: datetime | None = None) -> None:
    """Post the alert to Alertmanager's own API, as Prometheus does."""
    alert: dict[str, Any] = {
        "labels": LABELS,
        "annotations": {"summary": f"The disk of db-1 is {used} full"},
        "startsAt": (datetime.now(UTC) - timedelta(seconds=1)).isoformat(),
    }
    if ends_at is not None:
        alert["endsAt"] = ends_at.isoformat()
    async with httpx.AsyncClient() as client:
        (await client.post(f"{alertmanager}/api/v2/alerts", json=[alert])).raise_for_status()


async def test_firing_repeat_and_resolved_make_one_incident(
    flow: FlowTenant, start_alertmanager: StartAlertmanager
) -> None:
    source = await flow.post("/v1/sources", {"kind": "alertmanager", "name": "Alertmanager", "profile": "bearer"})
    url = f"{flow.stack.api_url}{source['source']['url_path']}"
    async with start_alertmanager(url, source["secret"]) as alertmanager:
        await tell(alertmanager)
        incident = (await wait_until(flow.incidents, timeout_s=20, what="the alert became an incident"))[0]
        assert incident["state"] == "open"

        async def repeated() -> bool:
            # As Prometheus does at each evaluation. Alertmanager's repeat then differs from its first notification; one
            # of the very same bytes within the replay window would be a delivery that came twice, and change nothing.
            await tell(alertmanager, used="98 %")
            alerts = (await flow.get("/v1/alerts"))["items"]
            return len(alerts) == 1 and alerts[0]["count"] >= 2

        await wait_until(repeated, timeout_s=20, every_s=0.3, what="the repeat bumped the same alert")
        await tell(alertmanager, ends_at=datetime.now(UTC))

        async def resolved() -> bool:
            return bool((await flow.get(f"/v1/incidents/{incident['id']}"))["state"] == "resolved")

        await wait_until(resolved, timeout_s=20, what="the resolve resolved the incident")
    assert len(await flow.incidents()) == 1
    entries = await flow.timeline(incident["id"])
    assert all(entry["actor_kind"] and entry["summary"] for entry in entries)
