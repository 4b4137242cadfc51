"""What people do to incidents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import IncidentId, TenantId, new_id
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.incidents.schemas import IncidentState, IncidentView
from app.incidents.service import (
    GroupHasOpenIncident,
    IncidentNotFound,
    InvalidTransition,
    acknowledge_incident,
    add_note,
    assign_incident,
    get_incident,
    list_timeline,
    record_timeline,
    reopen_incident,
    resolve_incident,
)
from tests.factories.incidents import deliver, incident_of, make_event, make_resolve, make_source, open_incident
from tests.incidents.conftest import Heard

MINUTE = timedelta(minutes=1)
Step = Callable[..., Awaitable[IncidentView]]


async def kinds_of(session: TenantSession, incident: IncidentView) -> list[str]:
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=50)
    return [entry.kind for entry in entries]


async def test_acknowledge_resolve_reopen_with_who_when_and_why(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    incident = await open_incident(session, now=clock.now())
    act: dict[str, Any] = {"incident_id": IncidentId(incident.id), "actor": ana}
    acknowledged = await acknowledge_incident(session, **act, reason="looking", now=clock.now() + MINUTE)
    resolved = await resolve_incident(session, **act, reason="restarted", now=clock.now() + 2 * MINUTE)
    reopened = await reopen_incident(session, **act, reason="not quite", now=clock.now() + 3 * MINUTE)
    assert (acknowledged.state, acknowledged.acknowledged_by) == (IncidentState.ACKNOWLEDGED, "Ana")
    assert (resolved.state, resolved.resolved_by) == (IncidentState.RESOLVED, "Ana")
    assert resolved.resolved_at == clock.now() + 2 * MINUTE
    assert (reopened.state, reopened.acknowledged_at, reopened.resolved_by) == (IncidentState.OPEN, None, None)
    assert heard.names() == [
        "IncidentOpened",
        "IncidentUpdated:acknowledged",
        "IncidentResolved",
        "IncidentUpdated:reopened",
    ]
    assert heard.facts[2].by == "token:t-1"
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=50)
    assert [(entry.kind, entry.actor_name, entry.reason) for entry in entries[1:]] == [
        ("incident.acknowledged", "Ana", "looking"),
        ("incident.resolved", "Ana", "restarted"),
        ("incident.reopened", "Ana", "not quite"),
    ]
    rows = await session.execute(text("select action, actor_name from audit_entries order by seq"))
    assert [row.action for row in rows if row.actor_name == "Ana"] == [
        "incident.acknowledged",
        "incident.resolved",
        "incident.reopened",
    ]


@pytest.mark.parametrize(
    ("step", "wanted"), [(acknowledge_incident, IncidentState.ACKNOWLEDGED), (resolve_incident, IncidentState.RESOLVED)]
)
async def test_a_step_taken_twice_changes_nothing_the_second_time(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor, step: Step, wanted: IncidentState
) -> None:
    incident = await open_incident(session, now=clock.now())
    for _ in range(2):
        after = await step(session, incident_id=incident.id, actor=ana, reason="", now=clock.now())
    assert after.state is wanted
    assert len(await kinds_of(session, incident)) == 2
    assert len(heard.facts) == 2


async def test_a_step_that_the_state_forbids_is_refused_and_leaves_no_trace(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    incident = await open_incident(session, now=clock.now())
    act: dict[str, Any] = {"incident_id": IncidentId(incident.id), "actor": ana, "reason": "", "now": clock.now()}
    with pytest.raises(InvalidTransition):
        await reopen_incident(session, **act)
    await resolve_incident(session, **act)
    with pytest.raises(InvalidTransition):
        await acknowledge_incident(session, **act)
    assert await kinds_of(session, incident) == ["incident.opened", "incident.resolved"]


async def test_a_step_without_a_reason_says_so(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    incident = await open_incident(session, now=clock.now())
    await acknowledge_incident(session, incident_id=IncidentId(incident.id), actor=ana, reason=" ", now=clock.now())
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=50)
    assert entries[-1].reason == "no reason given"


async def test_an_old_incident_is_not_reopened_beside_a_newer_open_one_of_its_group(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    start, source = clock.now(), make_source()
    old = await open_incident(session, now=start, source=source)
    await deliver(session, source, make_resolve(at=start + MINUTE), now=start + MINUTE, seq=2)
    later = start + 90 * MINUTE
    (applied,) = await deliver(session, source, make_event(at=later), now=later, seq=3)
    act: dict[str, Any] = {"incident_id": IncidentId(old.id), "actor": ana, "reason": "", "now": later}
    with pytest.raises(GroupHasOpenIncident) as refused:
        await reopen_incident(session, **act)
    assert refused.value.context["open_incident_id"] == str(applied.incident_id)
    await deliver(session, source, make_resolve(at=later + MINUTE), now=later + MINUTE, seq=4)
    assert (await reopen_incident(session, **act)).state is IncidentState.OPEN
    (again,) = await deliver(session, source, make_event(at=later + 2 * MINUTE), now=later + 2 * MINUTE, seq=5)
    assert again.incident_id == old.id


async def test_assigning_says_from_whom_to_whom(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    incident = await open_incident(session, now=clock.now())
    act: dict[str, Any] = {
        "incident_id": IncidentId(incident.id),
        "actor": ana,
        "reason": "knows it",
        "now": clock.now(),
    }
    assert (await assign_incident(session, **act, assignee="bo@example.org")).assignee == "bo@example.org"
    assert (await assign_incident(session, **act, assignee="bo@example.org")).assignee == "bo@example.org"
    assert (await assign_incident(session, **act, assignee=None)).assignee is None
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=50)
    assert [entry.data for entry in entries[1:]] == [
        {"from": None, "to": "bo@example.org"},
        {"from": "bo@example.org", "to": None},
    ]


async def test_a_note_is_kept_whole_and_summed_up_in_a_line(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    incident = await open_incident(session, now=clock.now())
    note = "Looked at the disk.\n\n" + "df says 97 %. " * 50 + "\x00"
    entry = await add_note(
        session,
        incident_id=IncidentId(incident.id),
        actor=ana,
        text=note,
        reason="for the night shift",
        now=clock.now(),
    )
    assert entry.data["text"] == note.removesuffix("\x00")
    assert entry.summary.startswith("Looked at the disk. df says")
    assert len(entry.summary) == 120
    assert heard.names()[-1] == "IncidentUpdated:note"


async def test_another_part_may_write_to_the_timeline_whatever_its_data_holds(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    incident = await open_incident(session, now=clock.now())
    await record_timeline(
        session,
        incident_id=IncidentId(incident.id),
        actor=Actor.system("remediation"),
        kind="run.started",
        summary="Run started",
        reason="a rule matched",
        data={"output": "bytes \x00 and \ud800", "numbers": [1, 2.5, None]},
        now=clock.now(),
    )
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=50)
    assert entries[-1].data == {"output": "bytes  and ", "numbers": [1, 2.5, None]}
    assert entries[-1].actor_kind == "system"


async def test_an_unknown_incident_and_another_tenants_are_the_same_not_found(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    async with tenant_session(database, other_tenant_id) as session:
        theirs = await open_incident(session, now=clock.now())
    steps: list[tuple[Callable[..., Awaitable[object]], dict[str, Any]]] = [
        (acknowledge_incident, {"reason": ""}),
        (resolve_incident, {"reason": ""}),
        (reopen_incident, {"reason": ""}),
        (assign_incident, {"assignee": "me", "reason": ""}),
        (add_note, {"text": "x", "reason": ""}),
        (record_timeline, {"kind": "x.y", "summary": "x", "reason": "x", "data": {}}),
    ]
    async with tenant_session(database, tenant_id) as session:
        for incident_id in (IncidentId(theirs.id), IncidentId(new_id())):
            for step, extra in steps:
                with pytest.raises(IncidentNotFound):
                    await step(session, incident_id=incident_id, actor=ana, now=clock.now(), **extra)
            with pytest.raises(IncidentNotFound):
                await get_incident(session, incident_id=incident_id)
            with pytest.raises(IncidentNotFound):
                await list_timeline(session, incident_id=incident_id, after=None, limit=5)
    async with tenant_session(database, other_tenant_id) as session:
        assert (await get_incident(session, incident_id=IncidentId(theirs.id))).state is IncidentState.OPEN
        assert await kinds_of(session, theirs) == ["incident.opened"]


async def test_a_resolved_incident_keeps_what_its_sender_says_about_the_alert(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    start, source = clock.now(), make_source()
    incident = await open_incident(session, now=start, source=source)
    await resolve_incident(session, incident_id=IncidentId(incident.id), actor=ana, reason="", now=start + MINUTE)
    applied = await deliver(session, source, make_resolve(at=start + 2 * MINUTE), now=start + 2 * MINUTE, seq=2)
    assert applied[0].outcome == "resolved"
    after = await incident_of(session, applied)
    assert (after.resolved_by, after.resolved_at) == ("Ana", start + MINUTE)
    assert heard.names().count("IncidentResolved") == 1
