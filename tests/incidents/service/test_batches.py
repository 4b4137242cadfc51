"""Batches of any size and content: bounded statements, nothing lost, nothing fatal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.clock import FakeClock
from app.core.ids import DeliveryId, new_id
from app.db.engine import Database
from app.db.tenancy import TenantSession
from app.incidents.service import (
    Delivered,
    apply_deliveries,
    get_alert,
)
from tests.factories.incidents import deliver, make_event, make_resolve, make_source
from tests.incidents.conftest import Heard, counted_statements

MINUTE = timedelta(minutes=1)


async def test_a_thousand_alerts_take_as_many_statements_as_three(
    session: TenantSession, database: Database, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source(group_by=("alertname",))

    async def statements_for(count: int, seq: int) -> int:
        events = [make_event(f"k{seq}-{number}", at=now, labels={"alertname": f"n{seq}"}) for number in range(count)]
        with counted_statements(database) as seen:
            await deliver(session, source, *events, now=now, seq=seq)
            await deliver(session, source, *events, now=now, seq=seq + 1)
        return len(seen)

    await statements_for(1, 0)  # the tenant's first makes its counters
    few, many = await statements_for(3, 2), await statements_for(1_000, 4)
    assert many == few
    assert many < 30


async def test_several_deliveries_at_once_do_what_one_after_the_other_does(
    session: TenantSession, clock: FakeClock, heard: Heard
) -> None:
    now, source = clock.now(), make_source()
    sent = [make_event(at=now), make_event("other", at=now), make_resolve(at=now + MINUTE)]
    deliveries = [
        Delivered(delivery_id=DeliveryId(new_id()), received_at=now + MINUTE, seq=seq, events=[one])
        for seq, one in enumerate(sent)
    ]
    applied = await apply_deliveries(session, source=source, deliveries=deliveries, now=now + MINUTE)
    assert [[result.outcome.value for result in batch] for batch in applied] == [["opened"], ["opened"], ["resolved"]]
    assert await deliver(session, source, now=now) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"title": ""},
        {"title": "x" * 5_000, "description": "y" * 50_000},
        {"title": "nul\x00 and \ud800", "labels": {"a\x00": "b\x00"}, "annotations": {"c": "\udfff"}},
        {"dedup_key": "k" * 10_000},
        {"dedup_key": ""},
        {"event_time": datetime(9999, 12, 31, tzinfo=UTC)},
        {"event_time": datetime(1, 1, 1, tzinfo=UTC), "starts_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"raw_severity": "🔥" * 500},
        {"labels": {f"l{number}": "v" * 9_999 for number in range(999)}},
        {"title": "'; drop table alerts; --", "labels": {"x": "${jndi:ldap://x}"}},
    ],
)
async def test_b22_b23_odd_input_is_normalised_and_neither_lost_nor_fatal(
    session: TenantSession, clock: FakeClock, heard: Heard, odd: dict[str, Any]
) -> None:
    (applied,) = await deliver(session, make_source(), make_event(**({"key": "odd"} | _keyed(odd))), now=clock.now())
    assert applied.outcome == "opened"
    assert applied.alert_id is not None
    alert = await get_alert(session, alert_id=applied.alert_id)
    assert alert.title
    assert len(alert.title) <= 500
    assert alert.last_event_at == clock.now() or "event_time" not in odd


def _keyed(odd: dict[str, Any]) -> dict[str, Any]:
    return {("key" if name == "dedup_key" else name): value for name, value in odd.items()}
