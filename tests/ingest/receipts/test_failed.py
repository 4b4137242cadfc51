"""Deliveries that came to nothing: listed with their reason, looked at with care, fixed, and tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from app.auth.rules import Role
from app.ingest.replays.jobs import PACE_S
from app.settings import Settings
from tests.factories.ingest import alert_body
from tests.ingest.receipts.conftest import Scene

SCRIPT = "<script>alert(document.cookie)</script>"
MAPPED = {"title": "check.name", "dedup": ["check.name"]}


async def ids_of(scene: Scene, **params: Any) -> list[str]:
    answer = await scene.get("/v1/deliveries", **params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def drive(scene: Scene, replay_id: str) -> dict[str, Any]:
    """Work until the replay has ended."""
    for _ in range(60):
        await scene.work()
        view: dict[str, Any] = (await scene.get(f"/v1/replays/{replay_id}")).json()
        if view["state"] != "running":
            return view
        scene.clock.advance(timedelta(seconds=2 * PACE_S))
    raise AssertionError(f"the replay does not end: {view}")


async def test_failures_are_found_by_reason_source_and_time(scene: Scene) -> None:
    first, second = await scene.source(), await scene.source()
    no_json = await scene.send(first, b"{")
    no_alert = await scene.send(second, b"[1]")
    fine = await scene.send(first)
    await scene.work()
    assert await ids_of(scene, state=["rejected", "failed"]) == [no_alert, no_json]
    assert await ids_of(scene, reason="body.not_json") == [no_json]
    assert await ids_of(scene, state="rejected", source_id=str(second.source.id)) == [no_alert]
    assert await ids_of(scene, state="processed") == [fine]
    assert await ids_of(scene, since="2000-01-01T00:00:00Z", state="rejected") == [no_alert, no_json]
    assert await ids_of(scene, until="2000-01-01T00:00:00Z", state="rejected") == []
    assert (await scene.get("/v1/deliveries", since="2000-01-01T00:00:00")).status_code == 422, "without an offset"


async def test_b17_a_raw_body_is_a_file_that_nothing_runs(scene: Scene) -> None:
    """Stored XSS: a sender's HTML is never rendered under our origin, redacted or not."""
    delivery = await scene.send(await scene.source(), alert_body(title=SCRIPT))
    for role, redacted in ((Role.ENGINEER, "true"), (Role.ADMIN, "false")):
        answer = await scene.get(f"/v1/deliveries/{delivery}/body", role=role, redacted=redacted)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == f'attachment; filename="{delivery}.txt"'
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert SCRIPT in answer.text, "shown as it is, as text"


async def test_a_body_is_shown_without_credentials_and_whole_only_to_admins(scene: Scene) -> None:
    secrets = {"password": "hunter2", "auth": {"api_key": ["abc"]}, "note": "Authorization: Bearer abcdefgh12345678"}
    sent = alert_body(**secrets)
    delivery = await scene.send(await scene.source(), sent)
    path = f"/v1/deliveries/{delivery}/body"
    for role in (Role.VIEWER, Role.RESPONDER):
        assert (await scene.get(path, role=role)).status_code == 403
    shown = (await scene.get(path, role=Role.ENGINEER)).text
    for secret in ("hunter2", "abc", "abcdefgh12345678"):
        assert secret not in orjson.dumps(orjson.loads(shown)).decode()
    assert orjson.loads(shown)["title"] == "Queue is deep"
    refused = await scene.get(path, role=Role.ENGINEER, redacted="false")
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.role_too_low")
    assert (await scene.get(path, role=Role.ADMIN, redacted="false")).content == sent


async def test_each_look_at_a_body_is_in_the_audit_trail(scene: Scene) -> None:
    delivery = await scene.send(await scene.source())
    await scene.get(f"/v1/deliveries/{delivery}/body", role=Role.ENGINEER)
    await scene.get(f"/v1/deliveries/{delivery}/body", role=Role.ADMIN, redacted="false")
    await scene.get(f"/v1/deliveries/{delivery}/body", role=Role.VIEWER)
    trail = await scene.run_sql(
        "select subject, detail->>'redacted' from audit_entries where action = 'delivery.body_read' order by seq"
    )
    assert [tuple(row) for row in trail] == [(f"delivery:{delivery}", "true"), (f"delivery:{delivery}", "false")]


@pytest.mark.parametrize("name", ["random", "path", "dots"])
async def test_ids_of_bodies_cannot_be_guessed_into_files(scene: Scene, name: str) -> None:
    given = {"random": str(uuid4()), "path": "..%2F..%2Fetc%2Fpasswd", "dots": "%2e%2e"}[name]
    answer = await scene.get(f"/v1/deliveries/{given}/body", role=Role.ADMIN)
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text


async def test_a_mapping_is_fixed_and_what_it_refused_is_replayed(scene: Scene) -> None:
    source = await scene.source(kind="generic", config={"items": "title", **MAPPED})
    bodies = [orjson.dumps({"check": {"name": f"disk {i}"}, "title": "no list"}) for i in range(5)]
    failed = [await scene.send(source, body) for body in bodies]
    await scene.work()
    assert await ids_of(scene, state="rejected") == failed[::-1]
    changed = await scene.api.patch(
        f"/v1/sources/{source.source.id}",
        json={"config": MAPPED},
        headers={"Authorization": scene.tokens[Role.ENGINEER]},
    )
    assert changed.status_code == 200, changed.text
    single = await scene.post(f"/v1/deliveries/{failed[0]}/replay")
    assert single.json()["state"] == "accepted"
    await scene.work()
    started = await scene.post("/v1/replays", {"source_id": str(source.source.id)})
    assert started.status_code == 202, started.text
    ended = await drive(scene, started.json()["id"])
    assert (ended["state"], ended["taken"], ended["processed"], ended["failed_again"]) == ("done", 4, 4, 0)
    assert await scene.run_sql("select count(*) from alerts") == [(5,)]
    for delivery in failed:
        assert (await scene.chain(delivery))["incidents"][0]["opened_here"] is True


async def test_a_replay_takes_small_batches_and_lets_fresh_deliveries_through(scene: Scene) -> None:
    settings = scene.resources.get(Settings)
    small = settings.ingest.model_copy(update={"drain_batch_size": 3})
    scene.resources.provide(Settings, settings.model_copy(update={"ingest": small}))
    source = await scene.source()
    for _ in range(8):
        await scene.send(source, b"{")
    await scene.work()
    replay = (await scene.post("/v1/replays", {"source_id": str(source.source.id)})).json()
    most_waiting = 0
    for _ in range(60):
        rows = await scene.run_sql("select count(*) from deliveries where state = 'accepted'")
        most_waiting = max(most_waiting, rows[0][0])
        view = (await scene.get(f"/v1/replays/{replay['id']}")).json()
        if view["state"] != "running":
            break
        # One job at a time, so that each state in between is seen.
        await run_one(scene)
    assert (view["state"], view["taken"], view["failed_again"]) == ("done", 8, 8)
    assert 0 < most_waiting <= 3
    stored = await scene.run_sql("select count(*) from deliveries where stored_at < received_at - interval '1 day'")
    assert stored[0][0] >= 0


async def run_one(scene: Scene) -> None:
    from tests.fixtures.jobs import CollectingPublisher, make_runner
    from workers.relay import Relay

    scene.clock.advance(timedelta(seconds=2 * PACE_S))
    publisher = CollectingPublisher()
    relay = Relay(
        database=scene.database,
        publisher=publisher,
        settings=scene.resources.get(Settings).jobs,
        as_of=scene.clock,
    )
    await relay.tick()
    for job in publisher.take():
        await make_runner(scene.resources).run(job.tenant_id, job.id)  # type: ignore[arg-type]
        rows = await scene.run_sql("select count(*) from deliveries where state = 'accepted'")
        assert rows[0][0] <= 3, "more than one batch waits"


async def test_a_replay_doubles_nothing(scene: Scene) -> None:
    source = await scene.source()
    bad = await scene.send(source, b"{")
    good = await scene.send(source, alert_body(id="q"))
    await scene.work()
    # The same alert again, from a delivery that counts as failed although its events were applied.
    await scene.run_sql("update deliveries set state = 'failed', reason = 'intake.gave_up' where id = :id", id=good)
    before = await scene.run_sql("select id, count, status, last_event_at from alerts")
    incidents = await scene.run_sql("select id, state from incidents")
    for _ in range(2):
        replay = (await scene.post("/v1/replays", {})).json()
        ended = await drive(scene, replay["id"])
    assert (ended["state"], ended["taken"]) == ("done", 1)
    assert await scene.run_sql("select id, count, status, last_event_at from alerts") == before
    assert await scene.run_sql("select id, state from incidents") == incidents
    assert (await scene.chain(good))["incidents"][0]["alerts"][0]["outcome"] == "ignored"
    assert (await scene.get(f"/v1/receipts/{bad}")).json()["state"] == "rejected"


async def test_one_replay_runs_at_a_time_and_can_be_stopped(scene: Scene) -> None:
    await scene.send(await scene.source(), b"{")
    await scene.work()
    replay = (await scene.post("/v1/replays", {"reason": "body.not_json", "most": 5})).json()
    assert replay["wanted"]["reason"] == "body.not_json"
    refused = await scene.post("/v1/replays", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "replay.running")
    stopped = await scene.post(f"/v1/replays/{replay['id']}/cancel")
    assert stopped.json()["state"] == "cancelled"
    again = await scene.post(f"/v1/replays/{replay['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "replay.ended")
    await scene.work()
    assert (await scene.get(f"/v1/replays/{replay['id']}")).json()["taken"] == 0
    assert [item["id"] for item in (await scene.get("/v1/replays")).json()["items"]] == [replay["id"]]
    assert (await scene.post("/v1/replays", {}, role=Role.RESPONDER)).status_code == 403


async def test_what_the_intake_had_of_a_cancelled_replay_is_counted(scene: Scene) -> None:
    settings = scene.resources.get(Settings)
    small = settings.ingest.model_copy(update={"drain_batch_size": 2})
    scene.resources.provide(Settings, settings.model_copy(update={"ingest": small}))
    source = await scene.source(kind="generic", config={"items": "title", **MAPPED})
    for number in range(5):
        await scene.send(source, orjson.dumps({"check": {"name": f"disk {number}"}, "title": "no list"}))
    await scene.work()
    await scene.run_sql('update sources set config = \'{"title": "check.name"}\' where id = :id', id=source.source.id)
    replay = (await scene.post("/v1/replays", {})).json()
    await run_one(scene)
    stopped = (await scene.post(f"/v1/replays/{replay['id']}/cancel")).json()
    assert (stopped["state"], stopped["taken"], stopped["waiting"]) == ("cancelled", 2, 2)
    for _ in range(5):
        scene.clock.advance(timedelta(seconds=2 * PACE_S))
        await scene.work()
    ended = (await scene.get(f"/v1/replays/{replay['id']}")).json()
    assert [ended[name] for name in ("state", "taken", "processed", "failed_again", "waiting")] == [
        "cancelled",
        2,
        2,
        0,
        0,
    ]
    assert ended["finished_at"] == stopped["finished_at"]
    assert await scene.run_sql("select count(*) from deliveries where state = 'rejected'") == [(3,)]
    assert (
        await scene.run_sql("select state from jobs where kind = 'ingest.replay_deliveries' and state <> 'succeeded'")
        == []
    )


async def test_a_processed_delivery_is_not_run_again(scene: Scene) -> None:
    """Not even under settings that would give its alert another identity: somebody has been paged for it."""
    source = await scene.source(kind="generic", config=MAPPED)
    done = await scene.send(source, orjson.dumps({"check": {"name": "disk"}, "other": "key"}))
    await scene.work()
    await scene.run_sql(
        'update sources set config = \'{"title": "check.name", "dedup": ["other"]}\' where id = :id',
        id=source.source.id,
    )
    refused = await scene.post(f"/v1/deliveries/{done}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery.not_replayable")
    assert refused.json()["detail"] == "the delivery is processed"
    for states in (["processed"], ["failed", "processed"]):
        many = await scene.post("/v1/replays", {"states": states})
        assert (many.status_code, many.json()["code"]) == (422, "validation")
    replay = (await scene.post("/v1/replays", {"source_id": str(source.source.id)})).json()
    assert (await drive(scene, replay["id"]))["taken"] == 0
    assert await scene.run_sql("select count(*) from alerts") == [(1,)]


async def test_what_came_in_after_the_start_is_not_chased(scene: Scene) -> None:
    source = await scene.source()
    await scene.send(source, b"{")
    await scene.work()
    replay = (await scene.post("/v1/replays", {})).json()
    late = await scene.send(source, b"[")
    await scene.run_sql(
        "update deliveries set state = 'rejected', reason = 'body.not_json' where id = :id and state = 'accepted'",
        id=late,
    )
    ended = await drive(scene, replay["id"])
    assert (ended["taken"], ended["failed_again"]) == (1, 1)


async def test_a_source_of_another_tenant_cannot_be_replayed(scene: Scene) -> None:
    answer = await scene.post("/v1/replays", {"source_id": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (404, "source.not_found")
