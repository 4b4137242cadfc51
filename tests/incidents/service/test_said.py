"""Acknowledgements and notes that senders bring along, on a real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import DeliveryId, IncidentId, new_id
from app.db.engine import Database
from app.db.tenancy import TenantSession
from app.incidents.schemas import AlertEvent, AlertOutcome, AlertStatus, IncidentState
from app.incidents.service import get_alert, list_timeline
from tests.factories.incidents import deliver, incident_of, make_event, make_source
from tests.incidents.conftest import Heard, counted_statements

MINUTE = timedelta(minutes=1)


def make_ack(key: str = "disk-full", **changes: Any) -> AlertEvent:
    return make_event(key, **({"status": AlertStatus.ACKNOWLEDGED} | changes))


async def test_an_acknowledgement_is_kept_told_and_audited_as_a_persons_is(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source(name="pager")
    await deliver(session, source, make_event(at=now), now=now)
    heard.facts.clear()
    later = now + MINUTE
    (applied,) = await deliver(session, source, make_ack(at=later, note="on it"), now=later, seq=2)
    incident = await incident_of(session, [applied])
    assert (incident.state, incident.acknowledged_at) == (IncidentState.ACKNOWLEDGED, later)
    assert incident.acknowledged_by == "sender pager"
    assert heard.names() == ["IncidentUpdated:acknowledged", "IncidentUpdated:note"]
    lines = await list_timeline(session, incident_id=IncidentId(incident.id), after=None, limit=10)
    assert [line.kind for line in lines] == ["incident.opened", "incident.acknowledged", "incident.note"]
    assert {line.actor_kind for line in lines} == {"sender"}
    assert lines[-1].data == {"text": "on it"}
    rows = (await session.execute(text("select action, actor_kind, subject from audit_entries order by seq"))).all()
    subject = f"incident:{incident.id}"
    assert [tuple(row) for row in rows[1:]] == [
        ("incident.acknowledged", "sender", subject),
        ("incident.note", "sender", subject),
    ]
    assert applied.alert_id is not None
    assert (await get_alert(session, alert_id=applied.alert_id)).status is AlertStatus.FIRING


async def test_a_delivery_applied_again_repeats_neither(session: TenantSession, clock: FakeClock, heard: Heard) -> None:
    now, source = clock.now(), make_source()
    await deliver(session, source, make_event(at=now), now=now)
    said = [make_ack(at=now + MINUTE), make_event(status=AlertStatus.NOTED, at=now + MINUTE, note="hm")]
    again: dict[str, Any] = {"now": now + MINUTE, "seq": 2, "delivery_id": DeliveryId(new_id())}
    first = await deliver(session, source, *said, **again)
    second = await deliver(session, source, *said, **again)
    assert [one.outcome for one in first] == [AlertOutcome.ACKNOWLEDGED, AlertOutcome.NOTED]
    assert [one.outcome for one in second] == [AlertOutcome.IGNORED] * 2
    count = await session.scalar(text("select count(*) from timeline_entries where origin is not null"))
    assert count == 2


async def test_what_is_said_with_the_opening_is_told_too(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now = clock.now()
    sent = [make_event(at=now, note="first words"), make_ack(at=now + MINUTE)]
    applied = await deliver(session, make_source(), *sent, now=now + MINUTE)
    assert (await incident_of(session, applied)).state is IncidentState.ACKNOWLEDGED
    assert heard.names() == ["IncidentOpened", "IncidentUpdated:note", "IncidentUpdated:acknowledged"]


async def test_an_acknowledgement_of_nothing_is_ignored_with_its_reason(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    (applied,) = await deliver(session, make_source(), make_ack(at=clock.now()), now=clock.now())
    assert (applied.outcome, applied.incident_id) == (AlertOutcome.IGNORED, None)
    assert "opens nothing" in applied.reason
    assert heard.facts == []


async def test_a_thousand_of_them_take_as_many_statements_as_three(
    session: TenantSession, database: Database, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source(group_by=("alertname",))

    async def statements_for(count: int, seq: int) -> int:
        labels = {"alertname": f"n{seq}"}
        keys = [f"k{seq}-{number}" for number in range(count)]
        await deliver(session, source, *(make_event(key, at=now, labels=labels) for key in keys), now=now, seq=seq)
        said = [make_ack(key, at=now, labels=labels, note=f"note {key}") for key in keys]
        with counted_statements(database) as seen:
            await deliver(session, source, *said, now=now, seq=seq + 1)
        return len(seen)

    few, many = await statements_for(3, 2), await statements_for(1_000, 4)
    assert many == few
    assert many < 30
