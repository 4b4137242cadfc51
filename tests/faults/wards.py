"""Tenants to do work for: an alert source, a desk with tickets, and services that a runbook restarts."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.auth.rules import Role
from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.embedded.servicedesk_standin import ServiceDeskStandIn
from app.settings import Settings
from tests.factories.access import make_tokens
from tests.faults import sender
from tests.faults.evidence import Watched
from tests.faults.rig import Rig
from tests.faults.sender import Endpoint, Expected, Sent
from tests.fixtures.database import make_tenant

RUNBOOK = """
runbook: fault-{repeat}
version: 1
about: A service that is restarted by one call.
targets: {{service: {{kind: http}}}}
limits: {{ceiling: once, per_hour: 60, run_timeout: 5m}}
steps:
  - check: probe
    do: http.probe
    on: service
    with: {{path: /health}}
    timeout: 5s
  - act: restart
    do: http.request
    on: service
    with: {{method: POST, path: /restart, repeat: {repeat}}}
    timeout: 4s
    then: verify
recovered:
  every: 1s
  for: 15s
  need: 2 in a row
  all:
    - {{check: probe, is: "probe.up"}}
"""
REPEATS = ("once", "keyed")
# How likely an alert's next event is of the same time as the one before.
SAME_TIME = 0.25
# Due long after everything else is over: a run's own deadline, the second look at a closed ticket.
TIMERS = ["remediation.expire_run", "enhancement.learn_resolution"]


@dataclass
class Ward:
    """One tenant of the rig.

    Attributes:
        tag: In every name that its sender and its targets use.
        monitor: Its generic source.
        desk: Its desk's source, where it has one.
    """

    rig: Rig
    tag: str
    tenant_id: TenantId
    api: httpx.AsyncClient
    monitor: Endpoint
    desk: Endpoint | None = None
    keyed: set[str] = field(default_factory=set)

    @property
    def watched(self) -> Watched:
        return Watched(self.tenant_id, self.tag, frozenset(self.keyed))

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.api.post(path, json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.api.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def value(self, statement: str, *arguments: object) -> Any:
        """This will ask the database as a superuser; ``$1`` is the tenant."""
        async with self.rig.superuser() as connection:
            return await connection.fetchval(statement, self.tenant_id, *arguments)

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.rig.superuser() as connection:
            await connection.execute(statement, self.tenant_id, *arguments)

    async def add_source(self, kind: str) -> Endpoint:
        made = await self.post("/v1/sources", {"kind": kind, "name": f"{self.tag} {kind}", "profile": sender.PROFILE})
        source = made["source"]
        return Endpoint(self.tenant_id, source["id"], source["url_path"], made["secret"])

    async def add_desk(self, url: str, key: str) -> None:
        """This will connect the desk in both directions."""
        self.desk = await self.add_source("servicedesk")
        await self.post(
            "/v1/desks", {"kind": "servicedesk", "name": f"{self.tag} desk", "base_url": url, "secret": key}
        )

    async def add_runbooks(self) -> None:
        """This will store a runbook and a rule for each way of repeating."""
        for repeat in REPEATS:
            await self.post("/v1/runbooks", {"source": RUNBOOK.format(repeat=repeat)})
            rule = {
                "name": f"restart-{repeat}",
                "match": {"alert": [f"Restart{repeat.capitalize()}"]},
                "runbook": f"fault-{repeat}",
                "targets": {"service": "${incident.labels.service}"},
                "mode": "auto",
            }
            await self.post("/v1/runbook-rules", rule)

    async def add_service(self, sink_url: str, name: str, *, repeat: str = "once") -> Sent:
        """This will put a service into the inventory and return the alert that has it restarted."""
        base_url = f"{sink_url}/{self.tag}/{name}"
        await self.post("/v1/targets", {"name": name, "kind": "http", "connection": {"base_url": base_url}})
        if repeat == "keyed":
            self.keyed.add(f"{self.tag}/{name}")
        alert = sender.alert(
            self.monitor,
            f"{self.tag}-act-{name}",
            f"{self.tag}-down-{name}",
            status="firing",
            at=SystemClock().now(),
            alertname=f"Restart{repeat.capitalize()}",
            service=name,
        )
        alert.expects = Expected(service=name)
        return alert

    async def open_work(self) -> int:
        """This will count what is not finished: open jobs, deliveries, runs."""
        return int(
            await self.value(
                "select (select count(*) from jobs where tenant_id = $1 and state in ('scheduled', 'published', 'running')"
                "   and kind <> all($2::text[]))"
                " + (select count(*) from deliveries where tenant_id = $1 and state = 'accepted')"
                " + (select count(*) from runs where tenant_id = $1 and ended_at is null)",
                TIMERS,
            )
        )


async def make_ward(rig: Rig, tag: str) -> Ward:
    """This will make a tenant with a monitor, reached with an admin's token."""
    resources = Resources()
    resources.provide(Settings, rig.settings)
    resources.provide(Database, rig.database)
    resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    tenant_id = await make_tenant(rig.database)
    headers = {"Authorization": (await make_tokens(resources, tenant_id))[Role.ADMIN]}
    api = httpx.AsyncClient(base_url=rig.stack.api_url, headers=headers, timeout=10)
    ward = Ward(rig, tag, tenant_id, api, Endpoint(tenant_id, "", "", ""))
    ward.monitor = await ward.add_source("generic")
    return ward


def histories(ward: Ward, rng: random.Random, *, keys: int, start: datetime) -> list[Sent]:
    """This will make alerts with a past: some only fire, others also resolve; each key's order is shuffled.

    Now and then two events of a key are of the same time: then the one that is stored later is the newer one.
    """
    found: list[Sent] = []
    for number in range(keys):
        key = f"{ward.tag}-alert-{number}"
        statuses = ["firing"] * rng.randint(1, 5) if number % 3 == 0 else rng.choices(["firing", "resolved"], k=4)
        minute = 0
        for place, status in enumerate(statuses):
            minute += place > 0 and rng.random() >= SAME_TIME
            at = start - timedelta(minutes=30 - minute, seconds=number)
            found.append(sender.alert(ward.monitor, f"{key}-{place}", key, status=status, at=at))
    rng.shuffle(found)
    return found


def tickets(ward: Ward, standin: ServiceDeskStandIn, *, count: int) -> list[Sent]:
    """This will open tickets at the desk and make their webhooks."""
    assert ward.desk is not None
    found: list[Sent] = []
    for number in range(count):
        external = f"{ward.tag}{number:03d}"
        subject = f"{ward.tag} cannot pay, shop {number}"
        standin.add_ticket(ticket_id=external, subject=subject, description=subject)
        found.append(sender.ticket(ward.desk, f"{ward.tag}-ticket-{number}", external, subject))
    return found


async def close_wards(wards: list[Ward]) -> None:
    """This will close the clients."""
    await asyncio.gather(*(ward.api.aclose() for ward in wards))
