"""PagerDuty's Events API at its own paths: what clients send, what they are answered, what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.db.tenancy import tenant_session
from app.ingest.dropin.app import PAGERDUTY_MAX_BYTES, REQUESTS
from app.ingest.service import delete_source, rotate_secret
from app.net.keyring import KeyRing
from tests.factories.ingest import ACTOR, EPOCH
from tests.ingest.dropin.conftest import World, new_routing_key, trigger


async def test_trigger_acknowledge_and_resolve_move_one_incident(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    answer = await mover.event(**trigger(dedup_key="db-1/disk"))
    assert answer.status_code == 202
    assert answer.json() == {"status": "success", "message": "Event processed", "dedup_key": "db-1/disk"}
    await mover.work()
    assert await mover.states() == [("Disk full on db-1", "open")]
    for action, state in (("acknowledge", "acknowledged"), ("resolve", "resolved")):
        answer = await mover.event(event_action=action, dedup_key="db-1/disk")
        assert (answer.status_code, answer.json()["dedup_key"]) == (202, "db-1/disk")
        await mover.work()
        assert await mover.states() == [("Disk full on db-1", state)]


async def test_a_trigger_without_a_key_is_given_one_that_resolves_it(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    key = (await mover.event(**trigger())).json()["dedup_key"]
    assert len(key) == 32
    await mover.work()
    await mover.event(event_action="resolve", dedup_key=key)
    await mover.work()
    assert await mover.states() == [("Disk full on db-1", "resolved")]


async def test_a_trigger_sent_twice_after_a_lost_answer_is_given_the_same_key(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    keys = {(await mover.event(**trigger())).json()["dedup_key"] for _ in range(2)}
    assert len(keys) == 1
    assert len(await mover.rows("select id from deliveries")) == 1


async def test_open_over_and_open_again_within_a_moment_are_three_events(world: World) -> None:
    """The first and the last are of the same bytes; taken for a repetition, the last would leave it resolved."""
    mover = await world.mover("pagerduty_events")
    for event in (trigger(dedup_key="k"), {"event_action": "resolve", "dedup_key": "k"}, trigger(dedup_key="k")):
        assert (await mover.event(**event)).status_code == 202
    await mover.work()
    assert [state for _, state in await mover.states()] == ["open"]


async def test_what_the_event_says_is_on_the_alert(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    payload = {
        "timestamp": "2029-12-31T08:42:58.315+0000",
        "component": "postgres",
        "group": "prod",
        "class": "disk",
        "custom_details": {"free": "3 %", "load": 0.75},
    }
    more: dict[str, Any] = {
        "client": "Watcher",
        "client_url": "https://watch.example/1",
        "links": [{"href": "https://wiki.example/disk", "text": "Runbook"}, {"href": "javascript:alert(1)"}],
        "images": [{"src": "https://graphs.example/1.png", "alt": "Graph"}],
    }
    await mover.event(**trigger(dedup_key="k", payload=payload), **more)
    await mover.work()
    [alert] = await mover.rows("select * from alerts")
    assert (alert["severity"], alert["raw_severity"]) == ("P1", "critical")
    assert alert["labels"] == {
        "source": "db-1",
        "component": "postgres",
        "group": "prod",
        "class": "disk",
        "client": "Watcher",
    }
    assert alert["annotations"] == {"free": "3 %", "load": "0.75"}
    assert [link["title"] for link in alert["links"]] == ["Watcher", "Runbook", "Graph"]
    assert alert["started_at"].isoformat() == "2029-12-31T08:42:58.315000+00:00"


async def test_the_first_version_is_served_too(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    path = "/generic/2010-04-15/create_event.json"
    answer = await mover.event(path, event_type="trigger", description="Old but alive", incident_key="srv/HTTP")
    assert answer.status_code == 200
    assert answer.json() == {"status": "success", "message": "Event processed", "incident_key": "srv/HTTP"}
    await mover.event(path, event_type="resolve", incident_key="srv/HTTP")
    await mover.work()
    assert await mover.states() == [("Old but alive", "resolved")]


@pytest.mark.parametrize("more", [{}, {"event_action": "trigger"}, {"event_type": "resolve"}])
async def test_a_change_event_is_kept_and_makes_no_alert(world: World, more: dict[str, str]) -> None:
    mover = await world.mover("pagerduty_events")
    answer = await mover.event("/v2/change/enqueue", payload={"summary": "Deployed 1.2"}, **more)
    assert (answer.status_code, answer.json()) == (202, {"status": "success", "message": "Change event processed"})
    await mover.work()
    [delivery] = await mover.rows("select * from deliveries")
    assert delivery["state"] == "processed"
    assert await mover.states() == []


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no action": ({"dedup_key": "k"}, "'event_action' is missing or blank"),
    "another action": ({"event_action": "snooze", "dedup_key": "k"}, "'event_action' is invalid"),
    "action of another type": ({"event_action": ["trigger"]}, "'event_action' is missing or blank"),
    "no payload": ({"event_action": "trigger"}, "'payload' is missing or blank"),
    "payload of another type": ({"event_action": "trigger", "payload": [1]}, "'payload' is missing or blank"),
    "no summary": (dict(trigger(payload={"summary": ""})), "'payload.summary' is missing or blank"),
    "no source": (dict(trigger(payload={"source": None})), "'payload.source' is missing or blank"),
    "no severity": (dict(trigger(payload={"severity": None})), "'payload.severity' is missing or blank"),
    "another severity": (dict(trigger(payload={"severity": "P1"})), "'payload.severity' is invalid"),
    "severity of another type": (dict(trigger(payload={"severity": {"a": 1}})), "'payload.severity' is missing"),
    "resolve without a key": ({"event_action": "resolve"}, "'dedup_key' is missing or blank"),
    "key of another type": ({"event_action": "resolve", "dedup_key": 7}, "'dedup_key' is not a string"),
}


@pytest.mark.parametrize("case", INVALID)
async def test_an_invalid_event_is_answered_as_documented_and_not_kept(world: World, case: str) -> None:
    mover = await world.mover("pagerduty_events")
    event, error = INVALID[case]
    answer = await mover.event(**event)
    assert answer.status_code == 400
    said = answer.json()
    assert (said["status"], said["message"]) == ("invalid event", "Event object is invalid")
    assert any(one.startswith(error) for one in said["errors"])
    assert await mover.rows("select id from deliveries") == []


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"null", b'{"routing_key":', b"\xff\xfe", b'"text"'])
async def test_what_is_no_object_is_an_invalid_event(world: World, body: bytes) -> None:
    answer = await world.api.post("/v2/enqueue", content=body)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")


KEYS = {
    "none": (None, "'routing_key' is missing or blank"),
    "empty": ("", "'routing_key' is missing or blank"),
    "a number": (7, "'routing_key' is missing or blank"),
    "short": ("a" * 31, "Length of 'routing_key' is incorrect (should be 32 characters)"),
    "signs": ("-" * 32, "'routing_key' cannot contain non-alphanumeric characters."),
    "letters of another script": ("é" * 32, "'routing_key' cannot contain non-alphanumeric characters."),
}


@pytest.mark.parametrize("case", KEYS)
async def test_what_is_no_key_is_told_so(world: World, case: str) -> None:
    key, error = KEYS[case]
    answer = await world.api.post("/v2/enqueue", json={**trigger(), "routing_key": key})
    assert (answer.status_code, answer.json()["errors"]) == (400, [error])


async def refused(world: World, key: str) -> httpx.Response:
    return await world.api.post("/v2/enqueue", json={**trigger(dedup_key="k"), "routing_key": key})


async def test_keys_that_do_not_count_are_answered_alike_whatever_they_were(world: World) -> None:
    retired, deleted = await world.mover("pagerduty_events"), await world.mover("pagerduty_events")
    of_another_kind = await world.mover("generic")
    async with tenant_session(world.database, world.tenant_id) as session:
        await rotate_secret(
            session,
            keyring=world.resources.get(KeyRing),
            source_id=retired.source.source.id,
            actor=ACTOR,
            now=EPOCH,
            overlap=timedelta(0),
        )
        await delete_source(session, source_id=deleted.source.source.id, actor=ACTOR, now=EPOCH)
    answers = [await refused(world, key) for key in (new_routing_key(), retired.key, deleted.key)]
    answers.append(await refused(world, "".join(filter(str.isalnum, of_another_kind.key)).ljust(32, "a")[:32]))
    assert len({(answer.status_code, answer.content, str(answer.headers)) for answer in answers}) == 1
    assert answers[0].status_code == 400
    assert answers[0].json()["message"] == "Invalid routing key"
    assert await retired.rows("select id from deliveries") == []


async def test_both_keys_count_while_one_is_rotated_out(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    async with tenant_session(world.database, world.tenant_id) as session:
        rotated = await rotate_secret(
            session,
            keyring=world.resources.get(KeyRing),
            source_id=mover.source.source.id,
            actor=ACTOR,
            now=EPOCH,
            overlap=timedelta(hours=1),
        )
    assert rotated.secret is not None
    for key in (mover.key, rotated.secret):
        assert (await refused(world, key)).status_code == 202


async def test_a_body_over_the_documented_limit_is_not_read_to_its_end(world: World) -> None:
    mover = await world.mover("pagerduty_events")
    answer = await mover.event(**trigger(payload={"summary": "x" * PAGERDUTY_MAX_BYTES}))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert answer.json()["errors"] == ["Events API payloads are limited to 512 KB"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; a=b", ""]
)
async def test_the_type_that_a_script_forgets_to_set_costs_no_alert(world: World, content_type: str) -> None:
    mover = await world.mover("pagerduty_events")
    body = httpx.Request("POST", "http://x", json={"routing_key": mover.key, **trigger()}).content
    answer = await world.api.post("/v2/enqueue", content=body, headers={"content-type": content_type})
    assert answer.status_code == 202


async def test_other_methods_and_paths_are_refused_in_the_apis_own_words(world: World) -> None:
    answer = await world.api.get("/v2/enqueue")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert set(answer.json()) == {"status", "message", "errors"}
    assert (await world.api.post("/v2/nothing")).status_code == 404
    encoded = await world.api.post("/v2/enqueue", content=b"x", headers={"content-encoding": "gzip"})
    assert encoded.status_code == 400


async def test_requests_are_counted_by_api_and_status_and_nothing_else(world: World) -> None:
    def counted() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["api"], sample.labels["status"]): sample.value
            for metric in REQUESTS.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }

    before, mover = counted(), await world.mover("pagerduty_events")
    await mover.event(**trigger())
    await world.api.post("/v2/enqueue", content=b"")
    await world.api.post(f"/v2/{new_routing_key()}")
    after = counted()
    grown = {label: value - before.get(label, 0) for label, value in after.items() if value != before.get(label, 0)}
    assert grown == {("pagerduty", "202"): 1, ("pagerduty", "400"): 1, ("none", "404"): 1}
