"""A cron job that stops reporting: its alert is there within five seconds of the deadline, and ends when it reports again."""

from __future__ import annotations

from datetime import datetime

import httpx

from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

NOTICE_S = 5.0


async def test_a_missed_beat_opens_an_alert_within_five_seconds_and_the_next_one_ends_it(flow: FlowTenant) -> None:
    source = await flow.post("/v1/sources", {"kind": "generic", "name": "cron", "profile": "bearer"})
    wanted = {"source_id": source["source"]["id"], "name": "backup", "interval_s": 2, "severity": "P0"}
    heartbeat = await flow.post("/v1/heartbeats", wanted)
    headers = {"authorization": f"Bearer {source['secret']}"}
    async with httpx.AsyncClient(base_url=flow.stack.api_url, headers=headers) as cron:

        async def beat() -> None:
            (await cron.post(heartbeat["url_path"])).raise_for_status()

        async def incident_is(state: str) -> bool:
            return [incident["state"] for incident in await flow.incidents()] == [state]

        await beat()
        # In time twice: a beat moves the deadline, nothing opens.
        for _ in range(2):
            await wait_until(
                lambda: missed_by(flow, heartbeat["id"], -1.0), timeout_s=10, what="half the interval went by"
            )
            await beat()
            assert await flow.incidents() == []
        await wait_until(lambda: incident_is("open"), timeout_s=20, what="the missed beat opened an incident")
        now = await flow.get(f"/v1/heartbeats/{heartbeat['id']}")
        alerted, deadline = (datetime.fromisoformat(now[name]) for name in ("alerted_at", "deadline_at"))
        assert 0 <= (alerted - deadline).total_seconds() < NOTICE_S
        assert now["state"] == "late"
        await beat()
        await wait_until(lambda: incident_is("resolved"), timeout_s=20, what="the next beat resolved it")


async def missed_by(flow: FlowTenant, heartbeat_id: str, seconds: float) -> bool:
    """Whether the deadline is this far back (ahead, if negative), by the clock of the API's answers."""
    answer = await flow.api.get(f"/v1/heartbeats/{heartbeat_id}")
    deadline = datetime.fromisoformat(answer.json()["deadline_at"])
    return (datetime.now(deadline.tzinfo) - deadline).total_seconds() >= seconds
