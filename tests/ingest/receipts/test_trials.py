"""Time travel: what is predicted for other settings is what they bring, and what changes nothing differs in nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from app.auth.rules import Role
from app.core.ids import new_id
from app.ingest.models import SourceRow
from app.ingest.trials import service
from app.ingest.trials.jobs import RunTrial
from app.ingest.trials.repository import PastDelivery
from app.ingest.trials.schemas import Difference
from tests.ingest.receipts.conftest import Scene
from tests.ingest.receipts.trials import BEGAN, EVER, WORDS, ask, make_body


def make_source(**changes: Any) -> SourceRow:
    values: dict[str, Any] = {
        "tenant_id": new_id(),
        "id": new_id(),
        "public_id": "x" * 26,
        "kind": "generic",
        "name": "checks",
        "profile": "standard_webhooks",
        "config": {},
        "severity_map": {},
        "default_severity": "P2",
        "group_by": [],
        "resolve_timeout_s": None,
        "state": "active",
        "limits": {},
    }
    known = {column.key for column in SourceRow.__table__.columns}
    return SourceRow(**{name: value for name, value in (values | changes).items() if name in known})


def past(bodies: Sequence[bytes], *, every: timedelta = timedelta(minutes=1)) -> list[PastDelivery]:
    return [
        PastDelivery(UUID(int=(1 << 120) + (number << 66)), BEGAN + number * every, {}, body)
        for number, body in enumerate(bodies)
    ]


def difference(source: SourceRow, candidate: dict[str, Any], deliveries: Sequence[PastDelivery]) -> Difference:
    sides = service.both_sides(source, candidate)
    service.read_chunk(sides, deliveries)
    return service.conclude(*sides, deliveries=[delivery.id for delivery in deliveries], cut="")


SOURCES = st.fixed_dictionaries(
    {
        "group_by": st.lists(st.sampled_from(["service", "zone"]), unique=True, max_size=2),
        "default_severity": st.sampled_from(["P0", "P1", "P2", "P3"]),
        "severity_map": st.dictionaries(st.sampled_from(WORDS), st.sampled_from(["P0", "P1", "P3"]), max_size=3),
        "resolve_timeout_s": st.sampled_from([None, 60, 600]),
        "config": st.sampled_from([{}, {"dedup": ["title", "labels.zone"]}, {"items": "title"}]),
    }
)


@seed(20301)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    source=SOURCES,
    number=st.integers(0, 2**32),
    size=st.integers(0, 40),
    junk=st.lists(st.binary(max_size=40), max_size=5),
)
def test_the_identity_differs_in_nothing(source: dict[str, Any], number: int, size: int, junk: list[bytes]) -> None:
    rng = random.Random(number)
    bodies = [make_body(rng, rng.randrange(120)) for _ in range(size)] + junk
    rng.shuffle(bodies)
    deliveries = past(bodies, every=timedelta(seconds=rng.choice([1, 50, 4000])))
    row = make_source(**source)
    for candidate in ({}, dict(source)):
        found = difference(row, candidate, deliveries)
        assert found.same, found
        assert found.counts.deliveries == len(deliveries)
        assert found.counts.events.now == found.counts.events.then


@seed(20302)
@settings(max_examples=60)
@given(source=SOURCES, candidate=SOURCES, number=st.integers(0, 2**32))
def test_a_trial_says_the_same_each_time_and_stays_small(
    source: dict[str, Any], candidate: dict[str, Any], number: int
) -> None:
    rng = random.Random(number)
    deliveries = past([make_body(rng, minute) for minute in range(60)])
    first, second = (difference(make_source(**source), candidate, deliveries) for _ in range(2))
    assert first == second
    assert all(len(examples) <= 20 for examples in dict(first.examples).values())
    assert len(first.model_dump_json()) < 60_000


def test_a_severity_map_shows_what_it_moves() -> None:
    rng = random.Random(7)
    deliveries = past([make_body(rng, minute) for minute in range(30)])
    events = [orjson.loads(delivery.body) for delivery in deliveries]
    found = difference(make_source(), {"severity_map": {"page": "P0"}}, deliveries)
    moved = sum(event["severity"] == "page" for event in events)
    assert moved > 0
    assert (found.counts.events_changed, found.counts.changed_fields) == (moved, {"severity": moved})
    assert found.examples.events_changed[0].changed == {"severity": ["P1", "P0"]}
    assert (found.counts.merged, found.counts.split, found.counts.events_added) == (0, 0, 0)
    single = [orjson.dumps({"id": "c", "title": "C", "severity": "page"})]
    found = difference(make_source(), {"severity_map": {"page": "P0"}}, past(single))
    assert found.counts.incidents_changed == 1
    assert found.examples.incidents_changed[0].changed == {"severity": ["P1", "P0"]}


def test_grouping_merges_and_ungrouping_splits() -> None:
    bodies = [
        orjson.dumps({"id": f"c{i}", "title": f"C{i}", "labels": {"service": "shop"}, "severity": "high"})
        for i in range(4)
    ]
    merged = difference(make_source(), {"group_by": ["service"]}, past(bodies))
    assert (merged.counts.incidents.now, merged.counts.incidents.then, merged.counts.merged) == (4, 1, 1)
    assert merged.examples.merged[0].count == 4
    split = difference(make_source(group_by=["service"]), {"group_by": []}, past(bodies))
    assert (split.counts.incidents.now, split.counts.incidents.then, split.counts.split) == (1, 4, 1)
    assert split.examples.split[0].several == ["C0", "C1", "C2", "C3"]


def test_another_dedup_key_makes_one_alert_of_two() -> None:
    bodies = [orjson.dumps({"id": f"c{i}", "title": "Disk", "severity": "high"}) for i in range(2)]
    found = difference(make_source(), {"config": {"dedup": ["title"]}}, past(bodies))
    assert (found.counts.alerts.now, found.counts.alerts.then) == (2, 1)
    assert found.counts.changed_fields["dedup_key"] == 2
    assert found.counts.merged == 1


def test_what_a_candidate_refuses_or_newly_understands_is_named() -> None:
    deliveries = past([make_body(random.Random(1), 0), b"{"])
    refused = difference(make_source(), {"config": {"items": "title"}}, deliveries)
    assert (refused.counts.newly_refused, refused.counts.events_gone) == (1, 1)
    assert refused.examples.newly_refused[0].reason == "body.unexpected_shape"
    understood = difference(make_source(config={"items": "title"}), {"config": {}}, deliveries)
    assert (understood.counts.newly_understood, understood.counts.events_added) == (1, 1)
    assert understood.counts.incidents_added == understood.counts.incidents.then == 1


# --- in the database ----------------------------------------------------------------------------------------------------


async def test_a_trial_is_bounded_and_says_where_it_stopped(scene: Scene) -> None:
    source = await scene.source()
    for minute in range(6):
        await scene.send(source, make_body(random.Random(minute), minute))
    await scene.work()
    trial = await ask(scene, source.source.id, most=4, group_by=["service"])
    assert trial["state"] == "done"
    assert (trial["result"]["counts"]["deliveries"], trial["result"]["cut"]) == (4, "there are more than 4 deliveries")
    whole = await ask(scene, source.source.id, most=6)
    assert (whole["result"]["counts"]["deliveries"], whole["result"]["cut"], whole["result"]["same"]) == (6, "", True)


async def test_a_candidate_that_does_not_fit_is_refused_at_once(scene: Scene) -> None:
    source = await scene.source()
    path = f"/v1/sources/{source.source.id}/time-travel"
    for body, code in (
        ({"config": {"title": "("}}, "source.config_invalid"),
        ({"since": EVER["until"], "until": EVER["since"]}, "trial.stretch_invalid"),
        ({"most": 100_000}, "validation"),
        ({"unknown": 1}, "validation"),
    ):
        answer = await scene.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await scene.post(path, {}, role=Role.RESPONDER)).status_code == 403
    assert (await scene.get(path)).json()["items"] == []


async def test_trials_wait_in_small_numbers_and_old_ones_are_forgotten(scene: Scene) -> None:
    source = await scene.source()
    path = f"/v1/sources/{source.source.id}/time-travel"
    for _ in range(3):
        assert (await scene.post(path, {})).status_code == 202
    refused = await scene.post(path, {})
    assert (refused.status_code, refused.json()["code"]) == (409, "trial.waiting")
    await scene.work()
    for _ in range(8):
        for _ in range(3):
            assert (await scene.post(path, {})).status_code == 202
        await scene.work()
    assert len((await scene.get(path, limit=50)).json()["items"]) == service.KEPT


async def test_a_trial_whose_job_died_is_no_longer_waited_for(scene: Scene) -> None:
    source = await scene.source()
    trial = (await scene.post(f"/v1/sources/{source.source.id}/time-travel", {})).json()
    await scene.run_sql("update jobs set state = 'dead', finished_at = now() where kind = :kind", kind=RunTrial.kind)
    found = (await scene.get(f"/v1/time-travel/{trial['id']}")).json()
    assert (found["state"], found["reason"]) == ("failed", "its job is dead")
