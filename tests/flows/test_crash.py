"""api, relay and worker are killed with -9 mid-flow and Valkey is flushed: nothing acknowledged is lost, nothing twice.

The sender behaves as real ones do: it repeats a delivery, byte for byte, until it hears a 2xx. The crashes follow a
seed; the log of what was acknowledged is compared with the rows and with what arrived at the ticket system.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from redis.asyncio import Redis
from sqlalchemy import text

from app.core.clock import SystemClock
from app.db.tenancy import tenant_session
from app.net.signing import get_profile, sign
from tests.fixtures.servicedesk import ServedDesk
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

TICKETS = 24
SEED = 20260105


@dataclass
class Sender:
    """Signs each ticket once and sends it until it is acknowledged."""

    url: str
    secret: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    async def send(self, ticket_id: str, subject: str) -> None:
        body = orjson.dumps(
            {"event": "created", "request": {"id": ticket_id, "subject": subject, "description": subject}}
        )
        signed = sign(
            get_profile("standard_webhooks"), self.secret, body, SystemClock().now(), delivery_id=f"msg_{ticket_id}"
        )
        headers = {"Content-Type": "application/json", **dict(signed)}
        async with httpx.AsyncClient(timeout=3) as client:
            while ticket_id not in self.acknowledged:
                self.attempts += 1
                try:
                    answer = await client.post(self.url, content=body, headers=headers)
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == 202:
                    self.acknowledged[ticket_id] = answer.json()["receipt_id"]
                else:
                    assert answer.status_code == 503, answer.text
                    await asyncio.sleep(0.2)


async def wreak_havoc(flow: FlowTenant, rng: random.Random, done: asyncio.Event) -> Counter[str]:
    """Kill and restart each process and flush the broker, in seeded order, while the senders work."""
    redis, blows = Redis.from_url(flow.stack.valkey.url), Counter[str]()
    acts = ["api", "relay", "worker", "flush"]
    rng.shuffle(acts)
    for act in [*acts, *rng.choices(acts, k=2)]:
        await asyncio.sleep(rng.uniform(0.3, 0.9))
        if act == "flush":
            await redis.flushall()
        else:
            await asyncio.to_thread(flow.stack.kill, act)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            flow.stack.start(act)
        blows[act] += 1
    await redis.aclose()
    done.set()
    return blows


async def count(flow: FlowTenant, statement: str) -> int:
    async with tenant_session(flow.database, flow.tenant_id) as session:
        return int((await session.execute(text(statement))).scalar_one())


async def unfinished(flow: FlowTenant) -> int:
    return await count(flow, "select count(*) from jobs where state in ('scheduled', 'published', 'running')")


async def prepare(flow: FlowTenant, desk: ServedDesk) -> Sender:
    source = await flow.post(
        "/v1/sources", {"kind": "servicedesk", "name": "Service desk", "profile": "standard_webhooks"}
    )
    await flow.post("/v1/desks", {"kind": "servicedesk", "name": "Desk", "base_url": desk.url, "secret": desk.key})
    return Sender(f"{flow.stack.api_url}{source['source']['url_path']}", source["secret"])


async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    flow: FlowTenant, servicedesk: ServedDesk
) -> None:
    rng, over = random.Random(SEED), asyncio.Event()
    sender = await prepare(flow, servicedesk)
    tickets = {str(5000 + number): f"Checkout fails for shop {number}" for number in range(TICKETS)}
    for ticket_id, subject in tickets.items():
        servicedesk.standin.add_ticket(ticket_id=ticket_id, subject=subject, description=subject)

    async def send_spread_out() -> None:
        async with asyncio.TaskGroup() as sending:
            for ticket_id, subject in tickets.items():
                sending.create_task(sender.send(ticket_id, subject))
                await asyncio.sleep(rng.uniform(0.05, 0.25))

    havoc = asyncio.create_task(wreak_havoc(flow, rng, over))
    await send_spread_out()
    blows = await havoc
    assert set(blows) == {"api", "relay", "worker", "flush"}
    await flow.stack.ready()

    async def settled() -> bool:
        noted = sum(1 for ticket_id in tickets if servicedesk.standin.notes_of(ticket_id))
        return noted == TICKETS and await unfinished(flow) == 0

    await wait_until(settled, timeout_s=100, every_s=0.3, what=f"all tickets are noted (seed {SEED})\n{_logs(flow)}")

    # I1: what was acknowledged is there, once, and was processed.
    assert await count(flow, "select count(*) from deliveries") == TICKETS
    assert await count(flow, "select count(*) from deliveries where state = 'processed'") == TICKETS
    for receipt_id in sender.acknowledged.values():
        assert (await flow.get(f"/v1/receipts/{receipt_id}"))["state"] == "processed"
    # I2: one alert, one incident and one note for each ticket, however often it was sent or run.
    assert await count(flow, "select count(*) from alerts") == TICKETS
    assert await count(flow, "select count(*) from incidents") == TICKETS
    notes = {ticket_id: len(servicedesk.standin.notes_of(ticket_id)) for ticket_id in tickets}
    assert set(notes.values()) == {1}, notes
    # I5: nothing is stuck, nothing died.
    assert await count(flow, "select count(*) from jobs where state in ('dead', 'failed')") == 0
    # I6: the audit trail has no gap.
    await assert_audit_whole(flow)


async def assert_audit_whole(flow: FlowTenant) -> None:
    from app.audit.service import verify_chain

    async with tenant_session(flow.database, flow.tenant_id) as session:
        report = await verify_chain(session)
    assert report.ok, report.broken
    assert report.entries > 0


async def test_sigterm_hands_running_work_over(flow: FlowTenant, servicedesk: ServedDesk) -> None:
    sender = await prepare(flow, servicedesk)
    servicedesk.standin.switches.hang_s = 2.0
    servicedesk.standin.add_ticket(ticket_id="7001", subject="Mail is slow", description="Mail is slow")
    await sender.send("7001", "Mail is slow")

    async def fetching() -> bool:
        return servicedesk.standin.calls != []

    await wait_until(fetching, timeout_s=20, what="the worker is talking to the desk")
    assert await asyncio.to_thread(flow.stack.terminate, "worker") == 0
    flow.stack.start("worker")
    servicedesk.standin.switches.hang_s = 0.0

    async def noted() -> Any:
        return servicedesk.standin.notes_of("7001")

    await wait_until(noted, timeout_s=60, what=f"the note is written\n{_logs(flow)}")
    assert len(servicedesk.standin.notes_of("7001")) == 1


def _logs(flow: FlowTenant) -> str:
    return "\n".join(f"--- {name}\n{flow.stack.tail(name)}" for name in ("api", "relay", "worker"))
