"""Alerts whose sender falls silent, and the timers that notice."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import IncidentId, TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.incidents.events import IncidentResolved
from app.incidents.schemas import IncidentState
from app.incidents.service import get_incident, list_timeline, resolve_stale_alerts
from tests.factories.incidents import deliver, incident_of, make_event, make_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.incidents.conftest import Heard

MINUTE = timedelta(minutes=1)


async def test_an_alert_not_seen_for_the_time_out_is_resolved_and_the_timeline_says_so(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(resolve_timeout_s=600)
    applied = await deliver(session, source, make_event(at=clock.now()), now=clock.now())
    early = await resolve_stale_alerts(session, source_id=source.id, now=clock.now() + 9 * MINUTE)
    assert (early.count, early.next_due_at) == (0, clock.now() + 10 * MINUTE)
    due = clock.now() + 10 * MINUTE
    done = await resolve_stale_alerts(session, source_id=source.id, now=due)
    assert (done.count, done.next_due_at) == (1, None)
    incident = await incident_of(session, applied)
    assert (incident.state, incident.resolved_at) == (IncidentState.RESOLVED, due)
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=10)
    assert [entry.kind for entry in entries] == ["incident.opened", "alert.resolved", "incident.resolved"]
    assert entries[-1].actor_id == "resolve-timeout"
    assert "time-out" in entries[-1].reason
    (resolved,) = heard.of(IncidentResolved)
    assert resolved.by == "system:resolve-timeout"


async def test_a_repeat_puts_the_time_out_off_and_a_source_without_one_is_left_alone(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    source, other = make_source(resolve_timeout_s=600), make_source()
    for one in (source, other):
        await deliver(session, one, make_event(at=clock.now()), now=clock.now())
    later = clock.now() + 8 * MINUTE
    await deliver(session, source, make_event(at=clock.now()), now=later, seq=2)
    at = clock.now() + 12 * MINUTE
    for one in (source, other):
        assert (await resolve_stale_alerts(session, source_id=one.id, now=at)).count == 0


async def test_the_senders_next_word_brings_a_timed_out_alert_back(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    source, start = make_source(resolve_timeout_s=600), clock.now()
    (first,) = await deliver(session, source, make_event(at=start), now=start)
    await resolve_stale_alerts(session, source_id=source.id, now=start + 10 * MINUTE)
    (again,) = await deliver(session, source, make_event(at=start), now=start + 11 * MINUTE, seq=2)
    assert (again.outcome, again.incident_id) == ("reopened", first.incident_id)
    assert (await incident_of(session, [again])).state is IncidentState.OPEN


async def test_a_sweep_is_bounded_and_says_that_more_is_due(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(resolve_timeout_s=60)
    await deliver(session, source, *(make_event(f"k{n}", at=clock.now()) for n in range(5)), now=clock.now())
    at = clock.now() + 2 * MINUTE
    first = await resolve_stale_alerts(session, source_id=source.id, now=at, limit=3)
    second = await resolve_stale_alerts(session, source_id=source.id, now=at, limit=3)
    assert (first.count, first.next_due_at) == (3, clock.now() + MINUTE)
    assert (second.count, second.next_due_at) == (2, None)


async def test_timers_are_gathered_to_a_tick_and_never_run_before_the_time_out(
    session: TenantSession, clock: FakeClock, resources: Resources
) -> None:
    source = make_source(resolve_timeout_s=60)
    for seq in range(10):
        await deliver(session, source, make_event(at=clock.now()), now=clock.now() + seq * MINUTE / 60, seq=seq)
    rows = await session.execute(text("select run_at from jobs where kind = 'incidents.resolve_stale_alerts'"))
    due = [row.run_at for row in rows]
    assert len(due) == 1
    assert due[0] > clock.now() + MINUTE + 9 * MINUTE / 60
    assert due[0] <= clock.now() + MINUTE + timedelta(seconds=15)


async def test_the_timer_resolves_through_the_job_engine(
    scratch_database: Database, scratch_resources: Resources, clock: FakeClock
) -> None:
    tenant_id: TenantId = await make_tenant(scratch_database)
    source = make_source(resolve_timeout_s=60)
    async with tenant_session(scratch_database, tenant_id) as session:
        applied = await deliver(session, source, make_event("a", at=clock.now()), now=clock.now())
    clock.advance(timedelta(seconds=50))
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant_id) as session:
        assert (await incident_of(session, applied)).state is IncidentState.OPEN
        applied_later = await deliver(session, source, make_event("b", at=clock.now()), now=clock.now(), seq=2)
    clock.advance(timedelta(seconds=30))
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant_id) as session:
        assert (await incident_of(session, applied)).state is IncidentState.RESOLVED
        assert (await incident_of(session, applied_later)).state is IncidentState.OPEN
    clock.advance(timedelta(seconds=60))
    await run_jobs(scratch_resources)
    async with tenant_session(scratch_database, tenant_id) as session:
        incident_id = applied_later[0].incident_id
        assert incident_id is not None
        assert (await get_incident(session, incident_id=incident_id)).state is IncidentState.RESOLVED
