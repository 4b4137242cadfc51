"""The checker finds nothing where nothing is wrong, and each thing that could be wrong where it is."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import Clock, SystemClock
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.jobs.context import JobContext
from app.db.jobs.effects import Effect, effect_key, perform
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from app.ingest.service import CreatedSource
from app.net.keyring import KeyRing
from app.remediation.schemas import TargetIn
from app.remediation.service import create_target
from tests.factories.ingest import ACTOR, Sender, committed_source, make_sender
from tests.faults import sender as sending
from tests.faults.checker import judge
from tests.faults.evidence import Evidence, Samples, Watched, collect
from tests.faults.sender import Endpoint, Log, Sent, headers_of
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
                superuser, self.database, self.tenants, log=self.log, calls=self.calls, notes=self.notes
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


async def act(bench: Bench, resources: Resources, tenant: TenantId, service: str) -> None:
    """One effect on one target, through the journal."""
    async with tenant_session(bench.database, tenant) as session:
        target = TargetIn(name=service, kind="http", connection={"base_url": "http://127.0.0.1:9"})
        view = await create_target(
            session, target=target, keyring=resources.get(KeyRing), actor=ACTOR, now=SystemClock().now()
        )
        await enqueue(session, Note(text=str(view.id)))

    async def send(_: float) -> dict[str, object]:
        return {}

    @bench.registry.stepwise(Note)
    async def handler(ctx: JobContext, job: Note) -> None:
        await perform(ctx, Effect(key=effect_key(job.text), kind="http.request", target=job.text), send=send)

    await run_jobs(bench.resources, registry=bench.registry)


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
        for minute, status in enumerate(["firing", "firing", "resolved", "firing"]):
            at = now + timedelta(minutes=minute)
            await store(sender, sending.alert(endpoint, f"{tag}-k-{minute}", f"{tag}-k", status=status, at=at), log)
        for minute in range(3):
            at = now + timedelta(minutes=minute)
            await store(sender, sending.alert(endpoint, f"{tag}-n-{minute}", f"{tag}-n", status="firing", at=at), log)
        watched.append(Watched(tenant, tag, frozenset()))
    rng.shuffle(log.sent)
    await run_jobs(scratch_resources)
    await act(bench, scratch_resources, watched[0].tenant_id, "web")
    calls = [Call(f"{watched[0].tag}/web", "")]
    yield Case(postgres, scratch_name, bench.database, watched, log, calls, {f"{watched[0].tag}1": ["a note"]})
    await sender.client.aclose()
    await sender.app.aclose()


async def test_nothing_is_found_where_nothing_is_wrong(case: Case) -> None:
    assert await case.violations() == set()


DAMAGES = {
    "a delivery is deleted": ("delete from deliveries where tenant_id = $1 and external_id like '%-n-1'", "I1"),
    "a body is changed": (
        "update deliveries set body_sha256 = '\\x00' where tenant_id = $1 and external_id like '%-n-1'",
        "I1",
    ),
    "a delivery is given up": (
        "update deliveries set state = 'failed', reason = 'x' where tenant_id = $1 and external_id like '%-n-1'",
        "I1",
    ),
    "a delivery is stored twice": (
        "insert into deliveries (tenant_id, id, source_id, shard, state, external_id, replay_key, body_sha256, headers,"
        " body, size_bytes, received_at) select tenant_id, overlay(id::text placing 'ffff' from 1)::uuid, source_id, shard,"
        " state, external_id, replay_key, body_sha256, headers, body, size_bytes, received_at from deliveries"
        " where tenant_id = $1 limit 1",
        "I2",
    ),
    "a delivery comes from nowhere": (
        "update deliveries set external_id = 'stranger' where tenant_id = $1 and external_id like '%-n-1'",
        "I7",
    ),
    "a delivery was applied twice": (
        "update alerts set count = count + 1 where tenant_id = $1 and dedup_key like '%-n'",
        "I2",
    ),
    "a delivery was not applied": (
        "update alerts set count = count - 1 where tenant_id = $1 and dedup_key like '%-n'",
        "I2",
    ),
    "an older word won": (
        "update alert_heads set event_at = event_at - interval '1 minute' where tenant_id = $1 and dedup_key like '%-k'",
        "I3",
    ),
    "a firing alert is shown as over": (
        "update alerts set status = 'resolved' where tenant_id = $1 and dedup_key like '%-n'",
        "I3",
    ),
    "an incident closed over a firing alert": ("update incidents set state = 'resolved' where tenant_id = $1", "I3"),
    "an effect without its call": (
        "insert into effects (tenant_id, id, effect_key, kind, target, job_id, request, state, intent_epoch, not_after)"
        " select tenant_id, gen_random_uuid(), 'other', kind, (select id::text from targets limit 1), job_id, request,"
        " 'failed', 1, not_after from effects where tenant_id = $1",
        "I2",
    ),
    "a call without its effect": ("delete from effects where tenant_id = $1", "I2"),
    "a call that is denied": ("update effects set state = 'failed' where tenant_id = $1", "I2"),
    "an audit entry is deleted": (
        "delete from audit_entries where tenant_id = $1 and seq = (select min(seq) from audit_entries where tenant_id = $1)",
        "I6",
    ),
    "an audit entry is changed": ("update audit_entries set subject = 'other' where tenant_id = $1", "I6"),
    "a job hangs": (
        "update jobs set state = 'running', lease_until = now() - interval '5 minutes' where tenant_id = $1",
        "I5",
    ),
    "a job died before its time": (
        "update jobs set state = 'dead', attempt = 1, error = 'x' where tenant_id = $1",
        "I5",
    ),
    "a job died in silence": (
        "update jobs set state = 'dead', attempt = max_attempts, error = null where tenant_id = $1",
        "I5",
    ),
}


@pytest.mark.parametrize(("statement", "invariant"), DAMAGES.values(), ids=DAMAGES)
async def test_damage_to_the_database_is_found(case: Case, statement: str, invariant: str) -> None:
    await case.damage(statement)
    assert invariant in await case.violations()


async def test_a_row_of_another_tenant_is_found_in_text_and_in_bytes(case: Case) -> None:
    other = case.tenants[1].tag
    await case.damage(f"update alerts set title = 'about {other}-x' where tenant_id = $1")
    assert "I4" in await case.violations()
    await case.damage("update alerts set title = 'own' where tenant_id = $1")
    assert "I4" not in await case.violations()
    await case.damage(f"update deliveries set body = 'see {other}' where tenant_id = $1")
    assert "I4" in await case.violations()


async def test_a_lie_of_the_sink_the_sender_or_the_desk_is_found(case: Case) -> None:
    tag = case.tenants[0].tag
    case.calls.append(Call(f"{tag}/web", ""))
    assert await case.violations() == {"I2"}, "an effect twice"
    case.calls[:] = []
    assert await case.violations() == {"I2"}, "an effect that never happened"
    case.calls[:] = [Call(f"{tag}/web", "")]
    case.notes[f"{tag}1"].append("the same note")
    assert await case.violations() == {"I2"}, "a note twice"
    case.notes[f"{tag}1"].pop()
    case.log.sent[0].receipts.add(str(new_id()))
    assert await case.violations() == {"I1", "I2"}, "two receipts, one of nothing"
    case.log.sent[0].receipts.clear()
    case.log.odd.append("was answered 500")
    assert await case.violations() == {"I7"}


async def test_keyed_targets_may_be_called_again_with_the_same_key_only(case: Case) -> None:
    tag = case.tenants[0].tag
    case.tenants[0] = replace(case.tenants[0], keyed=frozenset({f"{tag}/web"}))
    case.calls[:] = [Call(f"{tag}/web", "k"), Call(f"{tag}/web", "k")]
    assert await case.violations() == set()
    case.calls.append(Call(f"{tag}/web", "other"))
    assert await case.violations() == {"I2"}


@pytest.mark.parametrize(
    "samples",
    [Samples(connections=500), Samples(rss_mb=9e3), Samples(valkey_mb=200), Samples(metric_series=99_999)],
    ids=["connections", "memory", "broker", "series"],
)
async def test_what_grows_without_bound_is_found(case: Case, samples: Samples) -> None:
    assert await case.violations(samples=samples) == {"I8"}


async def test_a_run_that_never_comes_to_rest_is_found(case: Case) -> None:
    assert await case.violations(settled=False) == {"I5"}


async def test_a_job_that_another_release_will_know_is_not_stuck(case: Case) -> None:
    async with tenant_session(case.database, case.tenants[0].tenant_id) as session:
        await enqueue(session, Note())
        await session.execute(
            text("update jobs set run_at = now() - interval '1 hour', parked = true where kind = 'test.note'")
        )
    assert await case.violations() == set()


def test_evidence_without_tenants_is_judged_by_the_answers_alone() -> None:
    assert judge(Evidence(Log(), [], [])) == []
