"""The checker finds nothing where nothing is wrong, and each thing that could be wrong where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from app.core.ids import new_id
from app.db.jobs.queue import enqueue
from app.db.tenancy import tenant_session
from tests.faults.case import Case
from tests.faults.checker import judge
from tests.faults.evidence import Evidence, Samples
from tests.faults.sender import Expected, Log
from tests.faults.sink import Call
from tests.jobs.conftest import Note


async def test_nothing_is_found_where_nothing_is_wrong(case: Case) -> None:
    assert await case.violations() == set()
    case.log.sent.reverse()
    assert await case.violations() == set(), "the senders' order decides nothing"


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
        " 'failed', 1, not_after from effects where tenant_id = $1 and kind = 'http.request'",
        "I2",
    ),
    "a call without its effect": ("delete from effects where tenant_id = $1", "I2"),
    "a call that is denied": ("update effects set state = 'failed' where tenant_id = $1", "I2"),
    "a run is lost": ("delete from runs where tenant_id = $1", "I5"),
    "a run is begun again": (
        "insert into runs (tenant_id, id, incident_id, runbook, runbook_version, mode, plan, plan_digest, state, outcome,"
        " started_by, deadline, created_at, updated_at) select tenant_id, gen_random_uuid(), incident_id, runbook, 1, mode,"
        " plan, '', state, outcome, started_by, deadline, created_at, updated_at from runs where tenant_id = $1",
        "I5",
    ),
    "a run ended without its effect": (
        "delete from effects where tenant_id = $1 and kind = 'http.request'",
        "I5",
    ),
    "a note without its effect": ("delete from effects where tenant_id = $1 and kind = 'ticket.note'", "I2"),
    "a job failed": ("update jobs set state = 'failed', error = 'x' where tenant_id = $1", "I5"),
    "a job was cancelled": ("update jobs set state = 'cancelled', error = 'x' where tenant_id = $1", "I5"),
    "the newer of two words of the same time was passed over": (
        "update alert_heads set status = 'resolved' where tenant_id = $1 and dedup_key like '%-k'",
        "I3",
    ),
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


async def test_what_never_happened_is_found(case: Case) -> None:
    tag = case.tenants[0].tag
    case.notes.clear()
    await case.damage("delete from effects where tenant_id = $1 and kind = 'ticket.note'")
    assert await case.violations() == {"I5"}, "the job of a ticket is lost, with all that it did"
    case.notes[f"{tag}1"] = []
    assert await case.violations() == {"I5"}
    for one in case.log.sent:
        one.expects = None if one.expects == Expected(ticket=f"{tag}1") else one.expects
    assert await case.violations() == set()
    case.calls.clear()
    await case.damage("delete from effects where tenant_id = $1")
    assert await case.violations() == {"I5"}, "a run that ended well and did nothing"
    await case.damage("delete from runs where tenant_id = $1")
    assert await case.violations() == {"I5"}, "the job of an alert is lost, with all that it did"


async def test_a_note_of_which_nobody_can_tell_is_no_lost_one(case: Case) -> None:
    case.notes.clear()
    await case.damage("update effects set state = 'unknown' where tenant_id = $1 and kind = 'ticket.note'")
    assert await case.violations() == set()


async def test_a_sender_that_is_never_heard_is_found(case: Case) -> None:
    unheard = replace(case.log.sent[0], message_id="unheard", receipts=set(), gave_up=True)
    case.log.sent.append(unheard)
    assert await case.violations() == {"I7"}


async def test_a_job_that_was_meant_to_fail_is_no_violation(case: Case) -> None:
    await case.damage("update jobs set state = 'failed', error = 'the desk is shut' where tenant_id = $1")
    assert await case.violations() == {"I5"}
    assert await case.violations(explained=("desk is shut",)) == set()


async def test_a_tag_that_is_part_of_another_is_no_leak(case: Case) -> None:
    other = case.tenants[1]
    case.tenants[0] = replace(case.tenants[0], tag=f"{other.tag}more")
    await case.damage(f"update alerts set title = 'about {other.tag}more' where tenant_id = $1")
    assert "I4" not in await case.violations()
    await case.damage(f"update alerts set title = 'about {other.tag}' where tenant_id = $1")
    assert "I4" in await case.violations()


async def test_keyed_targets_may_be_called_again_with_the_same_key_only(case: Case) -> None:
    tag = case.tenants[0].tag
    case.tenants[0] = replace(case.tenants[0], keyed=frozenset({f"{tag}/web"}))
    case.calls[:] = [Call(f"{tag}/web", "k"), Call(f"{tag}/web", "k")]
    assert await case.violations() == set()
    case.calls.append(Call(f"{tag}/web", "other"))
    assert await case.violations() == {"I2"}


@pytest.mark.parametrize(
    "samples",
    [
        Samples(connections=500),
        Samples(rss_mb=9e3),
        Samples(valkey_mb=200),
        Samples(metric_series=99_999),
        Samples(connections=1, disk_mb=5e3),
        Samples(),
    ],
    ids=["connections", "memory", "broker", "series", "disk", "not measured"],
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
    assert judge(Evidence(Log(), [], [], Samples(connections=1))) == []
