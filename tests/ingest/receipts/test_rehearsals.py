"""A rehearsal against the database: what it predicts is what then comes."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.auth.rules import Role
from app.incidents.service import Rehearsal
from app.ingest.service import CreatedSource
from app.ingest.trials import service
from app.settings import Settings
from tests.ingest.receipts.conftest import Scene
from tests.ingest.receipts.trials import ask, make_body


async def rows_of(scene: Scene, source: CreatedSource) -> tuple[Counter[Any], Counter[Any]]:
    """The source's alerts and incidents as the database has them, without ids."""
    alerts = await scene.run_sql(
        "select dedup_key, status, severity, title, count from alerts where source_id = :id", id=source.source.id
    )
    incidents = await scene.run_sql(
        "select i.title, i.state, i.severity, i.group_key, (select array_agg(a.dedup_key order by a.dedup_key) from alerts a"
        " where a.tenant_id = i.tenant_id and a.incident_id = i.id) from incidents i where i.source_id = :id",
        id=source.source.id,
    )
    return Counter(map(tuple, alerts)), Counter((*row[:4], tuple(row[4])) for row in incidents)


def predicted(rehearsal: Rehearsal) -> tuple[Counter[Any], Counter[Any]]:
    """The same of a rehearsal."""
    alerts = Counter(
        (alert.dedup_key, alert.status.value, alert.severity.value, alert.title, alert.count)
        for alert in rehearsal.alerts
    )
    keys = {
        incident.id: tuple(sorted(alert.dedup_key for alert in rehearsal.alerts if alert.incident == incident.id))
        for incident in rehearsal.incidents
    }
    incidents = Counter(
        (incident.title, incident.state.value, incident.severity.value, incident.group_key, keys[incident.id])
        for incident in rehearsal.incidents
    )
    return alerts, incidents


async def rehearsed(scene: Scene, source: CreatedSource, candidate: dict[str, Any]) -> Rehearsal:
    """What the candidate would make of everything that the source has delivered."""
    from app.ingest.service import get_source
    from app.ingest.trials.repository import load_chunk

    async with scene.transaction() as session:
        row = await get_source(session, source_id=source.source.id)
        deliveries = await load_chunk(
            session,
            source_id=source.source.id,
            after=UUID(int=0),
            until=UUID(int=2**128 - 1),
            limit=100,
            limit_bytes=10_000_000,
        )
        sides = service.both_sides(row, candidate)
    service.read_chunk(sides, deliveries)
    return sides[1].reading().rehearsal


def one_by_one(scene: Scene) -> None:
    """A transaction applies one delivery, as a rehearsal does; together they may name a new incident "(+2 more)"."""
    found = scene.resources.get(Settings)
    single = found.ingest.model_copy(update={"drain_first_batch_size": 1, "drain_batch_size": 1})
    scene.resources.provide(Settings, found.model_copy(update={"ingest": single}))


@pytest.mark.parametrize("number", [11, 12, 13])
async def test_a_rehearsal_is_what_the_database_has(scene: Scene, number: int) -> None:
    one_by_one(scene)
    rng = random.Random(number)
    source = await scene.source(group_by=["service"], severity_map={"page": "P0"})
    for minute in range(25):
        # Now and then out of order: late events and resolves before their firing.
        await scene.send(source, make_body(rng, minute if rng.random() < 0.8 else rng.randrange(25)))
        await scene.work()
    assert predicted(await rehearsed(scene, source, {})) == await rows_of(scene, source)


@pytest.mark.parametrize("number", [21, 22])
async def test_what_is_predicted_for_a_candidate_is_what_it_brings(scene: Scene, number: int) -> None:
    """Everything was refused under the old mapping; the candidate is tried, saved, and the deliveries are replayed."""
    one_by_one(scene)
    rng = random.Random(number)
    source = await scene.source(config={"items": "title"})
    for minute in range(20):
        await scene.send(source, make_body(rng, minute))
    await scene.work()
    candidate = {
        "config": {"dedup": ["title", "labels.zone"]},
        "severity_map": {"page": "P0", "odd": "P3"},
        "group_by": ["service"],
    }
    trial = await ask(scene, source.source.id, **candidate)
    counts = trial["result"]["counts"]
    assert (counts["newly_understood"], counts["events"], counts["alerts"]["now"]) == (20, {"now": 0, "then": 20}, 0)
    assert await rows_of(scene, source) == (Counter(), Counter()), "a trial writes nothing"
    forecast = predicted(await rehearsed(scene, source, candidate))

    headers = {"Authorization": scene.tokens[Role.ENGINEER]}
    saved = await scene.api.patch(f"/v1/sources/{source.source.id}", json=candidate, headers=headers)
    assert saved.status_code == 200, saved.text
    replay = (await scene.post("/v1/replays", {"source_id": str(source.source.id)})).json()
    while (await scene.get(f"/v1/replays/{replay['id']}")).json()["state"] == "running":
        await scene.work()
        scene.clock.advance(timedelta(seconds=3))
    alerts, incidents = await rows_of(scene, source)
    assert (alerts, incidents) == forecast
    assert counts["alerts"]["then"] == sum(alerts.values())
    assert counts["incidents"]["then"] == counts["incidents_added"] == sum(incidents.values())
    after = await ask(scene, source.source.id, **candidate)
    assert after["result"]["same"] is True, "saved, the candidate differs in nothing any more"
