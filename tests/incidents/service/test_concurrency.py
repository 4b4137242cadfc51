"""What happens when the same things are said at the same time, with real commits on several connections."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.actor import Actor
from app.core.clock import FakeClock
from app.core.ids import IncidentId, TenantId
from app.db.engine import Database
from app.db.tenancy import TenantSession, tenant_session
from app.incidents.schemas import AlertEvent, AlertStatus, AppliedAlert, IncidentState, Severity, SourceFacts
from app.incidents.service import (
    AlertFilter,
    IncidentFilter,
    acknowledge_incident,
    get_incident,
    list_alerts,
    list_incidents,
    list_timeline,
    resolve_incident,
)
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.fixtures.wait import wait_until
from tests.incidents.conftest import Heard

MINUTE = timedelta(minutes=1)
# Below the pool's size, so that what is tested waits for locks and not for connections.
AT_ONCE = 8


class Senders:
    """Applies deliveries each in a transaction of its own, several at once."""

    def __init__(self, database: Database, tenant_id: TenantId, clock: FakeClock) -> None:
        self.database = database
        self.tenant_id = tenant_id
        self.clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def send(self, source: SourceFacts, *events: AlertEvent, seq: int = 1) -> list[AppliedAlert]:
        async with self._slots, tenant_session(self.database, self.tenant_id) as session:
            return await deliver(session, source, *events, now=self.clock.now(), seq=seq)

    async def incidents(self, session: TenantSession) -> list[IncidentState]:
        found = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=1_000)
        return [incident.state for incident in found]


@pytest.fixture
def senders(database: Database, tenant_id: TenantId, clock: FakeClock) -> Senders:
    return Senders(database, tenant_id, clock)


async def test_f33_a_hundred_parallel_firings_of_one_key_are_one_alert_and_one_incident(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source()
    sent = [senders.send(source, make_event(at=clock.now()), seq=seq) for seq in range(100)]
    applied = [result for batch in await asyncio.gather(*sent) for result in batch]
    assert len({result.alert_id for result in applied}) == 1
    assert len({result.incident_id for result in applied}) == 1
    assert [result.outcome.value for result in applied].count("opened") == 1
    async with tenant_session(database, tenant_id) as session:
        (alert,) = await list_alerts(session, wanted=AlertFilter(), before=None, limit=10)
        (incident,) = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=10)
        entries = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=10)
    assert (alert.count, alert.status) == (100, AlertStatus.FIRING)
    assert [entry.kind for entry in entries] == ["incident.opened"]
    assert heard.names() == ["IncidentOpened"]


async def test_grouped_notifications_that_race_share_one_incident(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(group_by=("cluster",))
    labels = {"alertname": "A", "cluster": "c1"}
    sent = [
        senders.send(source, *(make_event(f"{seq}-{n}", at=clock.now(), labels=labels) for n in range(5)), seq=seq)
        for seq in range(20)
    ]
    applied = [result for batch in await asyncio.gather(*sent) for result in batch]
    assert len({result.incident_id for result in applied}) == 1
    assert len({result.alert_id for result in applied}) == 100
    async with tenant_session(database, tenant_id) as session:
        assert await senders.incidents(session) == [IncidentState.OPEN]


async def test_new_alerts_of_a_known_group_that_race_after_its_incident_ended_share_the_next_one(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source = make_source(group_by=("cluster",))
    labels = {"alertname": "A", "cluster": "c1"}
    for make in (make_event, make_resolve):
        await senders.send(source, make("first", at=clock.now(), labels=labels))
        clock.advance(MINUTE)
    clock.advance(120 * MINUTE)
    sent = [senders.send(source, make_event(f"k{seq}", at=clock.now(), labels=labels), seq=seq) for seq in range(30)]
    applied = [result for batch in await asyncio.gather(*sent) for result in batch]
    assert len({result.incident_id for result in applied}) == 1
    async with tenant_session(database, tenant_id) as session:
        assert await senders.incidents(session) == [IncidentState.OPEN, IncidentState.RESOLVED]


async def test_i3_a_resolve_that_races_an_older_first_firing_never_leaves_a_ghost(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source, now = make_source(), clock.now()
    for number in range(20):
        key = f"k{number}"
        await asyncio.gather(
            senders.send(source, make_event(key, at=now - MINUTE), seq=1),
            senders.send(source, make_resolve(key, at=now), seq=2),
        )
    async with tenant_session(database, tenant_id) as session:
        firing = await list_alerts(session, wanted=AlertFilter(statuses=(AlertStatus.FIRING,)), before=None, limit=50)
        assert firing == []
        assert IncidentState.OPEN not in await senders.incidents(session)


async def test_f26_overlapping_batches_in_different_orders_never_deadlock(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source, now, rng = make_source(group_by=("cluster",)), clock.now(), random.Random(26)
    keys = [f"k{number}" for number in range(30)]

    def batch(seq: int) -> list[AlertEvent]:
        chosen = rng.sample(keys, 15)
        make = [make_event if rng.random() < 0.6 else make_resolve for _ in chosen]
        at = now + timedelta(seconds=seq)
        return [
            one(key, at=at, labels={"cluster": f"c{keys.index(key) % 4}", "k": key})
            for one, key in zip(make, chosen, strict=True)
        ]

    batches = [batch(seq) for seq in range(60)]
    clock.advance(2 * MINUTE)
    await asyncio.gather(*(senders.send(source, *events, seq=seq) for seq, events in enumerate(batches)))
    newest = {event.dedup_key: event.status for events in batches for event in events}
    async with tenant_session(database, tenant_id) as session:
        firing = await list_alerts(session, wanted=AlertFilter(statuses=(AlertStatus.FIRING,)), before=None, limit=50)
        assert {alert.dedup_key for alert in firing} == {key for key, status in newest.items() if status == "firing"}
        opened = await list_incidents(
            session, wanted=IncidentFilter(states=(IncidentState.OPEN,)), before=None, limit=50
        )
        assert {incident.id for incident in opened} == {alert.incident_id for alert in firing}


async def test_responders_and_senders_at_once_never_deadlock_and_leave_one_clear_state(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    source, now = make_source(group_by=("cluster",)), clock.now()
    events = [make_event(f"k{n}", at=now, labels={"cluster": "c", "n": str(n)}) for n in range(10)]
    (first, *_) = await senders.send(source, *events)
    assert first.incident_id is not None
    clock.advance(MINUTE)

    async def respond() -> None:
        async with tenant_session(database, tenant_id) as session:
            assert first.incident_id is not None
            act = {"incident_id": first.incident_id, "actor": ana, "now": clock.now()}
            await acknowledge_incident(session, **act, reason="on it")  # type: ignore[arg-type]
            await resolve_incident(session, **act, reason="done")  # type: ignore[arg-type]

    repeats = [senders.send(source, *events, seq=seq) for seq in range(2, 12)]
    await asyncio.gather(respond(), *repeats)
    async with tenant_session(database, tenant_id) as session:
        assert (await get_incident(session, incident_id=first.incident_id)).state is IncidentState.RESOLVED


async def test_a_second_firing_waits_for_the_first_transaction_and_then_sees_its_alert(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source, now = make_source(), clock.now()
    async with tenant_session(database, tenant_id) as first:
        (opened,) = await deliver(first, source, make_event(at=now), now=now)
        waiting = asyncio.create_task(senders.send(source, make_event(at=now), seq=2))
        await wait_until(lambda: _somebody_waits(database, tenant_id), what="the second waits for the first's lock")
        assert not waiting.done()
    (bumped,) = await waiting
    assert (bumped.outcome, bumped.alert_id) == ("bumped", opened.alert_id)


async def test_a_delivery_that_meets_an_acknowledgement_keeps_it(
    senders: Senders, database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard, ana: Actor
) -> None:
    source, now = make_source(), clock.now()
    (opened,) = await senders.send(source, make_event(at=now, severity=Severity.P3))
    assert opened.incident_id is not None
    async with tenant_session(database, tenant_id) as session:
        await acknowledge_incident(session, incident_id=opened.incident_id, actor=ana, reason="", now=now)
        worse = make_event(at=now, severity=Severity.P0)
        waiting = asyncio.create_task(senders.send(source, worse, seq=2))
        await wait_until(lambda: _somebody_waits(database, tenant_id), what="the delivery waits for the incident")
    await waiting
    async with tenant_session(database, tenant_id) as session:
        incident = await get_incident(session, incident_id=opened.incident_id)
    assert (incident.state, incident.severity) == (IncidentState.ACKNOWLEDGED, Severity.P0)


async def _somebody_waits(database: Database, tenant_id: TenantId) -> bool:
    async with tenant_session(database, tenant_id) as session:
        query = text("select exists (select from pg_locks where not granted)")
        return bool((await session.execute(query)).scalar_one())


async def test_a_rolled_back_first_firing_leaves_nothing_to_the_second(
    database: Database, tenant_id: TenantId, clock: FakeClock, heard: Heard
) -> None:
    source, now = make_source(), clock.now()

    class Crash(Exception):
        pass

    async def crash() -> None:
        async with tenant_session(database, tenant_id) as session:
            await deliver(session, source, make_event(at=now), now=now)
            raise Crash

    with pytest.raises(Crash):
        await crash()
    async with tenant_session(database, tenant_id) as session:
        (applied,) = await deliver(session, source, make_event(at=now), now=now, seq=2)
        (incident,) = await list_incidents(session, wanted=IncidentFilter(), before=None, limit=10)
    assert (applied.outcome, incident.number) == ("opened", 1)
