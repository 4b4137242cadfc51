"""B25 to B28: half-true notifications, chosen keys, and alerts that come in the wrong order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.attacks.pipeline import Pipeline
from tests.factories.ingest import committed_source
from tests.fixtures.database import make_tenant


def body(*alerts: object, **changes: object) -> dict[str, Any]:
    return {"version": "4", "groupKey": "k", "status": "firing", "alerts": list(alerts), **changes}


def alert(status: str = "firing", **changes: object) -> dict[str, Any]:
    times = {"startsAt": "2030-01-07T11:00:00Z", "endsAt": "2030-01-07T11:30:00Z"}
    return {"status": status, "labels": {"alertname": "Down", "host": "a"}, **times, **changes}


@pytest.mark.attack("B25")
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (body(alert(), truncatedAlerts=7), "7 more alerts were cut off"),
        (body(alert(), version="5"), "payload version 5"),
        ({"version": "4", "alerts": [alert()]}, "groupKey is missing"),
        (body(alert(), "text", None, 7), "3 entries of 'alerts' are no objects"),
        (body(), "the delivery carries no alerts"),
    ],
    ids=["truncated", "version", "group key", "odd entries", "none"],
)
async def test_a_notification_that_is_not_whole(pipeline: Pipeline, sent: dict[str, Any], said: str) -> None:
    receipt = await pipeline.take(await pipeline.source_of(kind="alertmanager"), sent)
    assert receipt.state == "processed"
    assert any(said in warning for warning in receipt.warnings), receipt.warnings


@pytest.mark.attack("B25")
async def test_an_alert_that_was_cut_off_is_not_resolved(pipeline: Pipeline) -> None:
    source = await pipeline.source_of(kind="alertmanager")
    two = [alert(labels={"alertname": name}) for name in ("A", "B")]
    await pipeline.take(source, body(*two))
    await pipeline.take(source, body(two[0], truncatedAlerts=1))
    assert {row["status"] for row in await pipeline.rows("select status from alerts")} == {"firing"}


@pytest.mark.attack("B26")
@pytest.mark.parametrize("with_fingerprint", [True, False])
async def test_the_order_of_labels_makes_no_second_alert(pipeline: Pipeline, with_fingerprint: bool) -> None:
    source = await pipeline.source_of(kind="alertmanager")
    pairs = [("alertname", "Down"), ("host", "a"), ("zone", "b")]
    more = {"fingerprint": "abc"} if with_fingerprint else {}
    for number, order in enumerate(itertools.permutations(pairs)):
        receipt = await pipeline.take(source, body(alert(labels=dict(order), **more), groupKey=str(number)))
        assert receipt.outcomes == ({"bumped": 1} if number else {"opened": 1})
    assert len(await pipeline.rows("select id from alerts")) == 1


@pytest.mark.attack("B26")
async def test_labels_cannot_be_glued_into_anothers_key(pipeline: Pipeline) -> None:
    source = await pipeline.source_of(kind="alertmanager")
    for labels in ({"a": "b", "c": "d"}, {"a": "bcd"}, {"ab": "cd"}, {"a": "b\x00c", "d": ""}):
        await pipeline.take(source, body(alert(labels=labels)))
    assert len(await pipeline.rows("select id from alerts")) == 4


@pytest.mark.attack("B27")
async def test_a_key_that_another_source_or_tenant_uses(pipeline: Pipeline) -> None:
    mine, sibling = await pipeline.source_of(), await pipeline.source_of()
    other = await make_tenant(pipeline.database)
    foreign = await committed_source(pipeline.resources, other)
    for source in (mine, sibling, foreign):
        await pipeline.accept(source, {"id": "same", "title": "x"})
    await pipeline.work()
    assert len(await pipeline.rows("select id from alerts where dedup_key = 'same'")) == 2
    # A resolve by one leaves the others firing.
    await pipeline.take(mine, {"id": "same", "title": "x", "status": "resolved"})
    states = await pipeline.rows("select source_id, status from alerts")
    assert {row["status"] for row in states if row["source_id"] == mine.source.id} == {"resolved"}
    assert {row["status"] for row in states if row["source_id"] == sibling.source.id} == {"firing"}


@pytest.mark.attack("B27")
async def test_a_short_key_cannot_pose_as_the_digest_of_a_long_one(pipeline: Pipeline) -> None:
    source = await pipeline.source_of()
    await pipeline.take(source, {"id": "long" * 1000, "title": "x"})
    [row] = await pipeline.rows("select dedup_key from alerts")
    receipt = await pipeline.take(source, {"id": row["dedup_key"], "title": "y", "status": "resolved"})
    assert receipt.outcomes != {"resolved": 1}
    assert {row["status"] for row in await pipeline.rows("select status from alerts")} == {"firing"}


@pytest.mark.attack("B28")
async def test_resolved_before_firing_and_for_nobody(pipeline: Pipeline) -> None:
    source = await pipeline.source_of(kind="alertmanager")
    receipt = await pipeline.take(source, body(alert("resolved")))
    assert receipt.outcomes.keys() <= {"ignored", "unmatched", "resolved", "late", "skipped", "dropped"}
    assert await pipeline.rows("select id from incidents where state <> 'resolved'") == []


@pytest.mark.attack("B28")
async def test_a_firing_older_than_the_resolve_opens_nothing(pipeline: Pipeline) -> None:
    source = await pipeline.source_of(kind="alertmanager")
    await pipeline.take(source, body(alert(), groupKey="1"))
    await pipeline.take(source, body(alert("resolved"), groupKey="2"))
    before = await pipeline.rows("select id, state from incidents")
    await pipeline.take(source, body(alert(startsAt="2030-01-07T11:00:01Z"), groupKey="3"))
    assert await pipeline.rows("select id, state from incidents") == before
    assert [row["state"] for row in before] == ["resolved"]
    assert [row["status"] for row in await pipeline.rows("select status from alerts")] == ["resolved"]
