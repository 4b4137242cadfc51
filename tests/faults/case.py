"""What the checker is tried on: two tenants after a little work of which every trace can be damaged."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId, new_id
from app.core.jobs import JobRegistry
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.context import JobContext
from app.db.jobs.effects import Effect, effect_key, perform
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.ingest.service import CreatedSource
from app.net.keyring import KeyRing
from app.remediation.models import RunRow
from app.remediation.schemas import TargetIn
from app.remediation.service import create_target
from tests.factories.ingest import ACTOR, Sender, alert_body, committed_source, make_sender
from tests.faults import sender as sending
from tests.faults.checker import judge
from tests.faults.evidence import Samples, Watched, collect
from tests.faults.sender import Endpoint, Expected, Log, Sent, headers_of
from tests.faults.sink import Call
from tests.fixtures.database import PostgresServer, make_tenant
from tests.fixtures.jobs import run_jobs
from tests.jobs.conftest import Bench, Note


@dataclass
class Case:
    """Two tenants after a little work, in the hands of somebody who may change anything."""

    postgres: PostgresServer
    name: str
    database: Database
    tenants: list[Watched]
    log: Log
    calls: list[Call]
    notes: dict[str, list[str]]

    async def damage(self, statement: str) -> None:
        """This will change rows as a superuser, past every policy and trigger; ``$1`` is the first tenant."""
        async with self.postgres.superuser(self.name) as connection:
            await connection.execute("set session_replication_role = replica")
            changed = await connection.execute(statement, self.tenants[0].tenant_id)
        assert int(changed.split()[-1]) > 0, "the damage met no row"

    async def violations(self, **differs: object) -> set[str]:
        async with self.postgres.superuser(self.name) as superuser:
            evidence = await collect(
                superuser,
                self.database,
                self.tenants,
                log=self.log,
                calls=self.calls,
                notes=self.notes,
                samples=Samples(connections=1),
            )
        return {violation.invariant for violation in judge(replace(evidence, **differs))}  # type: ignore[arg-type]


async def store(sender: Sender, one: Sent, log: Log) -> None:
    log.sent.append(one)
    answer = await sender.client.post(one.endpoint.url_path, content=one.body, headers=headers_of(one))
    assert answer.status_code == 202
    one.receipts.add(answer.json()["receipt_id"])


def endpoint_of(source: CreatedSource, tenant: TenantId) -> Endpoint:
    assert source.secret is not None
    return Endpoint(tenant, str(source.source.id), source.url_path, source.secret)


async def act(bench: Bench, resources: Resources, tenant: TenantId, service: str, alert: Sent) -> None:
    """The run of an alert with its one effect on one target, through the journal."""
    async with tenant_session(bench.database, tenant) as session:
        target = TargetIn(name=service, kind="http", connection={"base_url": "http://127.0.0.1:9"})
        view = await create_target(
            session, target=target, keyring=resources.get(KeyRing), actor=ACTOR, now=SystemClock().now()
        )
        found = await session.execute(text("select incident_id from alerts where dedup_key = :key"), {"key": alert.key})
        run = run_of(tenant, found.scalar_one())
        session.add(run)
        await session.flush()
        request = {"run_id": str(run.id)}
    key = effect_key(service)
    await journal(bench, tenant, Effect(key=key, kind="http.request", target=str(view.id), request=request))


def run_of(tenant: TenantId, incident: UUID) -> RunRow:
    now = SystemClock().now()
    return RunRow(
        tenant_id=tenant,
        id=new_id(),
        incident_id=incident,
        runbook="restart",
        runbook_version=1,
        mode="auto",
        plan={},
        plan_digest="",
        state="ended",
        outcome="recovered",
        started_by={},
        deadline=now,
        created_at=now,
        updated_at=now,
        ended_at=now,
    )


async def journal(bench: Bench, tenant: TenantId, effect: Effect) -> None:
    """One effect that goes well, made by a job."""

    async def send(_: float) -> dict[str, object]:
        return {}

    registry = JobRegistry()

    @registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        await perform(ctx, effect, send=send)

    async with tenant_session(bench.database, tenant) as session:
        await enqueue(session, Note(text=effect.key))
    await run_jobs(bench.resources, registry=registry)


@pytest.fixture
async def case(
    bench: Bench, scratch_resources: Resources, postgres: PostgresServer, scratch_name: str
) -> AsyncIterator[Case]:
    scratch_resources.provide(Clock, SystemClock())  # type: ignore[type-abstract]
    sender, log, rng = make_sender(scratch_resources), Log(), random.Random(8)
    watched: list[Watched] = []
    now = SystemClock().now() - timedelta(hours=1)
    for letter in "ab":
        tenant, tag = await make_tenant(bench.database), f"{letter}{new_id().hex[-9:]}"
        endpoint = endpoint_of(await committed_source(scratch_resources, tenant, name=f"{tag} monitor"), tenant)
        # The last two are of the same time: what is stored later is the newer word.
        for place, (minute, status) in enumerate([(0, "firing"), (1, "firing"), (2, "resolved"), (2, "firing")]):
            at = now + timedelta(minutes=minute)
            await store(sender, sending.alert(endpoint, f"{tag}-k-{place}", f"{tag}-k", status=status, at=at), log)
        for minute in range(3):
            at = now + timedelta(minutes=minute)
            await store(sender, sending.alert(endpoint, f"{tag}-n-{minute}", f"{tag}-n", status="firing", at=at), log)
        watched.append(Watched(tenant, tag, frozenset()))
    first, tag = watched[0].tenant_id, watched[0].tag
    endpoint = log.sent[0].endpoint
    down = sending.alert(endpoint, f"{tag}-act", f"{tag}-down", status="firing", at=now)
    down.expects = Expected(service="web")
    ticket = Sent(endpoint, f"{tag}-ticket", alert_body(), f"{tag}1", expects=Expected(ticket=f"{tag}1"))
    for one in (down, ticket):
        await store(sender, one, log)
    rng.shuffle(log.sent)
    await run_jobs(scratch_resources)
    await act(bench, scratch_resources, first, "web", down)
    await journal(bench, first, Effect(key=effect_key(tag), kind="ticket.note", target=f"ticket:{tag}1"))
    calls = [Call(f"{tag}/web", "")]
    yield Case(postgres, scratch_name, bench.database, watched, log, calls, {f"{tag}1": ["a note"]})
    await sender.client.aclose()
    await sender.app.aclose()
