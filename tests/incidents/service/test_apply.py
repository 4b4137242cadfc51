"""Applying deliveries on a real PostgreSQL: what is stored, what is emitted, what is remembered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import DeliveryId, IncidentId, TenantId, new_id
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.incidents.events import IncidentOpened, IncidentResolved, TicketReceived
from app.incidents.schemas import AlertStatus, IncidentState, Link, Severity, TicketRef
from app.incidents.service import (
    AlertFilter,
    IncidentFilter,
    find_open_alert_status,
    get_alert,
    get_incident,
    list_alerts,
    list_incidents,
    list_timeline,
    resolve_incident,
)
from tests.factories.incidents import deliver, incident_of, make_event, make_resolve, make_source
from tests.incidents.conftest import Heard

MINUTE = timedelta(minutes=1)


async def test_a_firing_opens_an_alert_and_an_incident_with_everything_the_sender_said(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now = clock.now()
    delivery_id = DeliveryId(new_id())
    source = make_source(kind="alertmanager", name="prod", severity_map={"critical": Severity.P1})
    sent = make_event(
        at=now - MINUTE,
        starts_at=now - 2 * MINUTE,
        raw_severity="critical",
        description="97 % of /var",
        annotations={"runbook": "x"},
        links=(Link("Graph", "https://graph.example/1"), Link("Bad", "javascript:alert(1)")),
    )
    (applied,) = await deliver(session, source, sent, now=now, delivery_id=delivery_id)
    assert applied.alert_id is not None
    alert = await get_alert(session, alert_id=applied.alert_id)
    assert (alert.status, alert.severity, alert.count) == (AlertStatus.FIRING, Severity.P1, 1)
    assert (alert.started_at, alert.last_event_at, alert.first_seen_at) == (now - 2 * MINUTE, now - MINUTE, now)
    assert alert.labels == {"alertname": "disk-full", "host": "db-1"}
    assert [link["url"] for link in alert.links] == ["https://graph.example/1"]
    assert alert.first_delivery_id == alert.last_delivery_id == delivery_id
    incident = await incident_of(session, [applied])
    assert (incident.number, incident.state, incident.severity) == (1, IncidentState.OPEN, Severity.P1)
    assert (incident.source_kind, incident.source_name) == ("alertmanager", "prod")
    (opened,) = heard.facts
    assert isinstance(opened, IncidentOpened)
    assert (opened.alert_name, opened.labels["host"], opened.at) == ("disk-full", "db-1", now)


async def test_firing_repeat_resolve_is_one_incident_bumped_and_resolved(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    source, start = make_source(), clock.now()
    outcomes = []
    for seq, sent in enumerate((make_event(at=start), make_event(at=start), make_resolve(at=start + 5 * MINUTE))):
        clock.advance(5 * MINUTE)
        (applied,) = await deliver(session, source, sent, now=clock.now(), seq=seq)
        outcomes.append(applied.outcome.value)
    incident = await incident_of(session, [applied])
    assert outcomes == ["opened", "bumped", "resolved"]
    assert incident.state is IncidentState.RESOLVED
    assert incident.resolved_at == start + 5 * MINUTE
    assert incident.resolved_by == "sender probe"
    assert heard.names() == ["IncidentOpened", "IncidentUpdated:alerts", "IncidentResolved"]
    (alert,) = await list_alerts(session, wanted=AlertFilter(), before=None, limit=10)
    assert (alert.count, alert.last_seen_at) == (2, clock.now())
    entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=10)
    assert [entry.kind for entry in entries] == ["incident.opened", "alert.resolved", "incident.resolved"]
    assert all(entry.actor_name == "probe" and entry.reason for entry in entries)


@pytest.mark.parametrize("order", ["frs", "fsr", "rfs", "rsf", "sfr", "srf"])
async def test_f34_shuffled_deliveries_end_as_sorted_ones(
    session: TenantSession, clock: FakeClock, heard: Heard, order: str
) -> None:
    start, source = clock.now(), make_source()
    sent = {
        "f": make_event(at=start),
        "r": make_resolve(at=start + MINUTE),
        "s": make_event(at=start + 2 * MINUTE),
    }
    for letter in order:
        await deliver(session, source, sent[letter], now=start + 3 * MINUTE, seq="frs".index(letter))
    firing = await list_alerts(session, wanted=AlertFilter(statuses=(AlertStatus.FIRING,)), before=None, limit=10)
    assert [alert.last_event_at for alert in firing] == [start + 2 * MINUTE]
    assert (await get_incident(session, incident_id=IncidentId(firing[0].incident_id))).state is IncidentState.OPEN


async def test_b28_a_resolve_before_any_firing_makes_nothing_and_is_remembered(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source()
    (resolved,) = await deliver(session, source, make_resolve(at=now), now=now)
    (fired,) = await deliver(session, source, make_event(at=now - MINUTE), now=now, seq=2)
    assert (resolved.outcome, resolved.alert_id, resolved.incident_id) == ("ignored", None, None)
    assert (fired.outcome, fired.alert_id) == ("late", None)
    assert await list_incidents(session, wanted=IncidentFilter(), before=None, limit=10) == []
    assert heard.facts == []


async def test_b27_the_same_key_of_another_source_is_another_alert(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now = clock.now()
    (one,) = await deliver(session, make_source(), make_event(at=now), now=now)
    (two,) = await deliver(session, make_source(), make_event(at=now), now=now)
    assert one.alert_id != two.alert_id
    assert one.incident_id != two.incident_id


async def test_b27_the_same_source_and_key_of_another_tenant_is_another_alert(
    database: Database, tenant_id: TenantId, other_tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source()
    applied = []
    for tenant in (tenant_id, other_tenant_id):
        async with tenant_session(database, tenant) as session:
            applied += await deliver(session, source, make_event(at=clock.now()), now=clock.now())
    assert [result.outcome for result in applied] == ["opened", "opened"]
    async with tenant_session(database, other_tenant_id) as session:
        (incident,) = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=10)
        assert (incident.id, incident.number) == (applied[1].incident_id, 1)


async def test_a_notification_is_one_incident_by_its_declared_labels(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now = clock.now()
    source = make_source(group_by=("cluster",))
    events = [
        make_event(
            f"a{number}", at=now, labels={"alertname": "A", "cluster": "c1", "pod": str(number)}, severity=severity
        )
        for number, severity in enumerate((Severity.P3, Severity.P1, Severity.P2))
    ]
    applied = await deliver(session, source, *events, now=now)
    incident = await incident_of(session, applied)
    assert incident.severity is Severity.P1
    assert incident.title == "a0 on db-1 (+2 more)"
    assert incident.labels == {"alertname": "A", "cluster": "c1"}
    assert incident.group_labels == {"cluster": "c1"}
    assert len(heard.of(IncidentOpened)) == 1
    other = make_event("b", at=now, labels={"cluster": "c2"})
    (separate,) = await deliver(session, source, other, now=now, seq=2)
    assert separate.incident_id != incident.id


async def test_a_senders_group_holds_where_the_source_declares_none(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source()
    events = [make_event(key, at=now, group={"job": "web"}) for key in "ab"]
    await incident_of(session, await deliver(session, source, *events, now=now))


async def test_a_firing_within_the_window_reopens_and_a_later_one_opens_anew(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    start, source = clock.now(), make_source()
    times = {0: make_event, 10: make_resolve, 30: make_event, 40: make_resolve, 120: make_event}
    applied = []
    for minute, make in times.items():
        at = start + minute * MINUTE
        applied += await deliver(session, source, make(at=at), now=at, seq=minute)
    assert [result.outcome for result in applied] == ["opened", "resolved", "reopened", "resolved", "opened"]
    assert len({result.incident_id for result in applied}) == 2
    assert (await incident_of(session, applied[-1:])).number == 2
    assert len(heard.of(IncidentOpened)) == 2
    assert len(heard.of(IncidentResolved)) == 2
    assert "IncidentUpdated:reopened" in heard.names()


async def test_one_delivery_that_fires_resolves_and_fires_again_ends_open(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    start, source = clock.now(), make_source()
    later = start + 100 * MINUTE
    events = (make_event(at=later), make_resolve(at=start + MINUTE), make_event(at=start))
    applied = await deliver(session, source, *events, now=later)
    assert [result.outcome for result in applied] == ["opened", "resolved", "opened"]
    states = [i.state.value for i in await list_incidents(session, wanted=IncidentFilter(), before=None, limit=9)]
    assert states == ["open", "resolved"]
    assert heard.names().count("IncidentOpened") == 2


async def test_what_a_responder_ended_stays_ended_for_a_repeat_but_not_for_a_new_firing(
    session: TenantSession, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    start, source = clock.now(), make_source()
    incident = await incident_of(session, await deliver(session, source, make_event(at=start), now=start))
    await resolve_incident(
        session, incident_id=IncidentId(incident.id), actor=ana, reason="restarted", now=start + 10 * MINUTE
    )
    (repeat,) = await deliver(session, source, make_event(at=start), now=start + 15 * MINUTE, seq=2)
    assert repeat.outcome == "bumped"
    assert "Ana" in repeat.reason
    assert (await get_incident(session, incident_id=IncidentId(incident.id))).state is IncidentState.RESOLVED
    (again,) = await deliver(session, source, make_event(at=start + 20 * MINUTE), now=start + 20 * MINUTE, seq=3)
    assert (again.outcome, again.incident_id) == ("reopened", incident.id)
    await resolve_incident(
        session, incident_id=IncidentId(incident.id), actor=ana, reason="again", now=start + 30 * MINUTE
    )
    late = start + 120 * MINUTE
    (much_later,) = await deliver(session, source, make_event(at=late), now=late, seq=4)
    assert much_later.outcome == "opened"
    assert much_later.incident_id != incident.id
    statuses = await list_alerts(session, wanted=AlertFilter(), before=None, limit=10)
    assert [alert.status for alert in statuses] == ["firing", "resolved"]


async def test_a_tickets_creation_is_stated_once_with_its_incident(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source(kind="servicedesk")
    ticket = TicketRef(system="servicedesk", external_id="42", url="https://desk.example/42", event="created")
    for seq in range(2):
        sent = make_event("ticket-42", at=now, title="VPN is down", description="since nine", ticket=ticket)
        (applied,) = await deliver(session, source, sent, now=now, seq=seq)
    (received,) = heard.of(TicketReceived)
    assert received.incident_id == applied.incident_id
    assert (received.ticket, received.title, received.description) == (ticket, "VPN is down", "since nine")
    assert heard.of(IncidentOpened)[0].ticket == ticket
    assert (await incident_of(session, [applied])).ticket is not None


async def test_find_open_alert_status_tells_firing_resolved_and_unknown_apart(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source(group_by=("host",))
    applied = await deliver(session, source, make_event("a", at=now), make_event("b", at=now), now=now)
    incident = await incident_of(session, applied)
    await deliver(session, source, make_resolve("a", at=now + MINUTE), now=now + MINUTE, seq=2)
    found = {
        name: await find_open_alert_status(session, incident_id=IncidentId(incident.id), alert_name=name)
        for name in ("a", "b", "c", None)
    }
    assert found == {"a": "resolved", "b": "firing", "c": None, None: "firing"}


async def test_opening_and_resolving_are_audited_once_each(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source()
    for seq, make in enumerate((make_event, make_event, make_resolve)):
        (applied,) = await deliver(session, source, make(at=now + seq * MINUTE), now=now + seq * MINUTE, seq=seq)
    rows = await session.execute(text("select action, actor_kind, actor_name, subject from audit_entries order by seq"))
    subject = f"incident:{applied.incident_id}"
    assert [tuple(row) for row in rows] == [
        ("incident.opened", "sender", "probe", subject),
        ("incident.resolved", "sender", "probe", subject),
    ]


async def test_numbers_count_up_without_gaps_within_the_tenant(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source()
    for seq in range(3):
        await deliver(session, source, *(make_event(f"{seq}-{n}", at=now) for n in range(4)), now=now, seq=seq)
    found = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=50)
    assert sorted(incident.number for incident in found) == list(range(1, 13))
