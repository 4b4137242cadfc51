"""Opsgenie's Alert API at its own paths: what clients ask, what they are answered, what becomes of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from app.core.ids import new_id
from app.db.tenancy import tenant_session
from app.ingest.heartbeats.schemas import HeartbeatCreate, HeartbeatState
from app.ingest.heartbeats.service import create_heartbeat
from tests.factories.ingest import ACTOR, EPOCH
from tests.fixtures.database import make_tenant
from tests.ingest.dropin.conftest import Mover, World

ALERT = {"message": "Queue is deep", "alias": "queue/1", "priority": "P1"}


async def accepted(answer: httpx.Response) -> str:
    """The id of the request."""
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert set(said) == {"result", "took", "requestId"}
    assert said["result"] == "Request will be processed"
    return str(UUID(said["requestId"]))


async def outcome(mover: Mover, answer: httpx.Response) -> dict[str, Any]:
    """What became of an accepted request."""
    request_id = await accepted(answer)
    await mover.work()
    found = await mover.genie("GET", f"/v2/alerts/requests/{request_id}")
    assert found.status_code == 200, found.text
    data: dict[str, Any] = found.json()["data"]
    assert data["success"] is data["isSuccess"]
    return data


async def test_create_acknowledge_note_and_close_move_one_incident(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    created = await outcome(mover, await mover.genie("POST", "/v2/alerts", ALERT))
    assert (created["status"], created["action"], created["alias"]) == ("Created alert", "Create", "queue/1")
    of_it = f"/v2/alerts/{quote('queue/1', safe='')}"
    said = {"user": "ana", "note": "looking\nat it"}
    acknowledged = await outcome(mover, await mover.genie("POST", f"{of_it}/acknowledge?identifierType=alias", said))
    assert (acknowledged["status"], acknowledged["alertId"]) == ("Acknowledged alert", created["alertId"])
    assert await mover.states() == [("Queue is deep", "acknowledged")]
    noted = await outcome(mover, await mover.genie("POST", f"{of_it}/notes?identifierType=alias", {"note": "found it"}))
    assert noted["status"] == "Added note to alert"
    closed = await outcome(mover, await mover.genie("POST", f"{of_it}/close?identifierType=alias", {}))
    assert closed["status"] == "Closed alert"
    assert await mover.states() == [("Queue is deep", "resolved")]
    notes = await mover.rows("select data from timeline_entries where kind = 'incident.note' order by id")
    assert [row["data"]["text"] for row in notes] == ["ana: looking\nat it", "found it"]


async def test_the_alert_is_shown_by_alias_by_id_and_by_number(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    more = {
        "description": "97 %",
        "tags": ["db", "prod"],
        "details": {"host": "db-1"},
        "entity": "db-1",
        "source": "cron",
    }
    created = await outcome(mover, await mover.genie("POST", "/v2/alerts", ALERT | more))
    shown = [
        (await mover.genie("GET", f"/v2/alerts/{identifier}?identifierType={kind}")).json()["data"]
        for identifier, kind in ((quote("queue/1", safe=""), "alias"), (created["alertId"], "id"), ("1", "tiny"))
    ]
    assert shown[0] == shown[1] == shown[2]
    expected = {
        "id": created["alertId"],
        "tinyId": "1",
        "alias": "queue/1",
        "message": "Queue is deep",
        "status": "open",
        "acknowledged": False,
        "tags": ["db", "prod"],
        "count": 1,
        "priority": "P1",
        "entity": "db-1",
        "source": "cron",
        "description": "97 %",
        "details": {"host": "db-1"},
    }
    assert {name: shown[0][name] for name in expected} == expected


@pytest.mark.parametrize("kind", ["id", "tiny"])
async def test_an_alert_is_closed_by_its_id_and_by_its_number(world: World, kind: str) -> None:
    mover = await world.mover("opsgenie_api")
    created = await outcome(mover, await mover.genie("POST", "/v2/alerts", {"message": "No alias"}))
    identifier = created["alertId"] if kind == "id" else "1"
    closed = await outcome(mover, await mover.genie("POST", f"/v2/alerts/{identifier}/close?identifierType={kind}"))
    assert (closed["status"], closed["alertId"]) == ("Closed alert", created["alertId"])


async def test_an_alert_is_named_by_its_request_before_and_after_it_is_one(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    for body in (ALERT, {"message": "No alias"}):
        request_id = await accepted(await mover.genie("POST", "/v2/alerts", body))
        await accepted(await mover.genie("POST", f"/v2/alerts/{request_id}/acknowledge", {}))
        await mover.work()
        shown = (await mover.genie("GET", f"/v2/alerts/{request_id}?identifierType=id")).json()["data"]
        assert (shown["message"], shown["acknowledged"]) == (body["message"], True)
        deleted = await outcome(mover, await mover.genie("DELETE", f"/v2/alerts/{request_id}"))
        assert deleted["status"] == "Closed alert"
    assert {state for _, state in await mover.states()} == {"resolved"}


@pytest.mark.parametrize(
    ("priority", "severity"), [("P1", "P0"), ("P2", "P1"), ("P3", "P2"), ("P4", "P3"), ("P5", "P3"), (None, "P2")]
)
async def test_priorities_become_severities(world: World, priority: str | None, severity: str) -> None:
    mover = await world.mover("opsgenie_api")
    await mover.genie("POST", "/v2/alerts", {"message": "m", "priority": priority})
    await mover.work()
    assert [row["severity"] for row in await mover.rows("select severity from incidents")] == [severity]


async def test_a_create_sent_twice_after_a_lost_answer_is_one_request(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    ids = {await accepted(await mover.genie("POST", "/v2/alerts", {"message": "m"})) for _ in range(2)}
    assert len(ids) == 1
    await mover.work()
    assert len(await mover.states()) == 1


async def test_create_close_create_and_close_again_within_a_moment_are_four_requests(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    for _ in range(2):
        await accepted(await mover.genie("POST", "/v2/alerts", ALERT))
        await accepted(
            await mover.genie("POST", f"/v2/alerts/{quote('queue/1', safe='')}/close?identifierType=alias", {})
        )
    await mover.work()
    assert [state for _, state in await mover.states()] == ["resolved"]


async def test_what_names_no_alert_is_accepted_and_fails_as_documented(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    for path in (f"{new_id()}/close", "7/acknowledge?identifierType=tiny", "nothing/close?identifierType=alias"):
        found = await outcome(mover, await mover.genie("POST", f"/v2/alerts/{path}", {}))
        assert (found["success"], found["status"], found["alertId"]) == (False, "Alert does not exist", "")
    assert await mover.states() == []


async def test_a_request_that_waits_is_not_there_yet(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    request_id = await accepted(await mover.genie("POST", "/v2/alerts", ALERT))
    answer = await mover.genie("GET", f"/v2/alerts/requests/{request_id}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"message", "took", "requestId"}


FAULTS: dict[str, tuple[str, str, bytes, int, str | None]] = {
    "no json": ("POST", "/v2/alerts", b"{", 400, None),
    "a list": ("POST", "/v2/alerts", b"[]", 400, None),
    "no message": ("POST", "/v2/alerts", b"{}", 422, "message"),
    "empty message": ("POST", "/v2/alerts", b'{"message":" "}', 422, "message"),
    "alias of another type": ("POST", "/v2/alerts", b'{"message":"m","alias":{}}', 422, "alias"),
    "another priority": ("POST", "/v2/alerts", b'{"message":"m","priority":"P0"}', 422, "priority"),
    "priority of another type": ("POST", "/v2/alerts", b'{"message":"m","priority":["P1"]}', 422, "priority"),
    "an empty note": ("POST", "/v2/alerts/a/notes?identifierType=alias", b"{}", 422, "note"),
    "another identifier type": ("POST", "/v2/alerts/a/close?identifierType=name", b"{}", 422, None),
    "an action that is not served": ("POST", "/v2/alerts/a/escalate", b"{}", 404, None),
    "the list of alerts": ("GET", "/v2/alerts", b"", 404, None),
    "a name of excess length": ("GET", f"/v2/alerts/{'a' * 600}?identifierType=alias", b"", 404, None),
    "another method": ("PUT", "/v2/alerts/a", b"", 405, None),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_a_bad_request_is_answered_in_opsgenies_shape_and_not_kept(world: World, case: str) -> None:
    mover = await world.mover("opsgenie_api")
    method, path, body, status, field = FAULTS[case]
    headers = {"Authorization": f"GenieKey {mover.key}"}
    answer = await world.api.request(method, path, content=body, headers=headers)
    said = answer.json()
    assert answer.status_code == status, answer.text
    assert {"message", "took", "requestId"} <= set(said)
    assert list(said.get("errors", {})) == ([field] if field else [])
    assert await mover.rows("select id from deliveries") == []


HEADERS = [
    "",
    "GenieKey",
    "GenieKey ",
    "Bearer {key}",
    "GenieKey {key}x",
    "Basic {key}",
    "Basic",
    "Basic =",
    "GenieKey {other}",
]


@pytest.mark.parametrize("header", HEADERS)
async def test_what_is_no_key_of_a_source_is_refused_alike(world: World, header: str) -> None:
    mover = await world.mover("opsgenie_api")
    value = header.format(key=mover.key, other="8a5e0f7c-0d3b-4a40-9d3a-6a7c1c1f9a55")
    answer = await world.api.post("/v2/alerts", json=ALERT, headers={"Authorization": value})
    assert (answer.status_code, answer.json()["message"]) == (401, "Could not authenticate")
    assert await mover.rows("select id from deliveries") == []


async def test_two_keys_in_one_request_are_none(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    pairs = [("Authorization", f"GenieKey {mover.key}")] * 2
    assert (await world.api.post("/v2/alerts", json=ALERT, headers=pairs)).status_code == 401


async def test_nobody_elses_alerts_and_requests_are_there(world: World) -> None:
    """Another tenant's, another source's of the same tenant, and what never was: one answer, word for word."""
    mover = await world.mover("opsgenie_api")
    neighbour = await world.mover("opsgenie_api")
    stranger = await world.mover("opsgenie_api", tenant_id=await make_tenant(world.database))
    request_id = await accepted(await stranger.genie("POST", "/v2/alerts", ALERT))
    theirs = await outcome(stranger, await stranger.genie("POST", "/v2/alerts", ALERT | {"alias": "other"}))
    beside = await outcome(neighbour, await neighbour.genie("POST", "/v2/alerts", ALERT))

    async def shown(path: str, identifier: str) -> tuple[int, str]:
        answer = await mover.genie("GET", path)
        return answer.status_code, answer.json()["message"].replace(f"[{identifier}]", "[*]")

    ids = [theirs["alertId"], beside["alertId"], str(new_id()), "x"]
    assert {await shown(f"/v2/alerts/{one}", one) for one in ids} == {(404, "Alert with id [*] does not exist.")}
    aliases = {await shown(f"/v2/alerts/{one}?identifierType=alias", one) for one in ("other", "never")}
    assert aliases == {(404, "Alert with alias [*] does not exist.")}
    assert len({await shown(f"/v2/alerts/requests/{one}", one) for one in (request_id, str(new_id()), "x")}) == 1
    for one in (theirs["alertId"], beside["alertId"]):
        closed = await outcome(mover, await mover.genie("POST", f"/v2/alerts/{one}/close", {}))
        assert closed["status"] == "Alert does not exist"
    assert {state for _, state in await stranger.states() + await neighbour.states()} == {"open"}


@pytest.mark.parametrize("letter", ["a", "/", "ж", "警", "🔥"])
async def test_an_alias_of_any_letters_names_its_alert(world: World, letter: str) -> None:
    """Opsgenie takes up to 512 of them."""
    mover = await world.mover("opsgenie_api")
    alias = letter * 512
    await mover.genie("POST", "/v2/alerts", ALERT | {"alias": alias})
    await mover.genie("POST", f"/v2/alerts/{quote(alias, safe='')}/close?identifierType=alias", {})
    await mover.work()
    assert [state for _, state in await mover.states()] == ["resolved"]


async def test_a_ping_is_a_beat(world: World) -> None:
    mover = await world.mover("opsgenie_api")
    assert (await mover.genie("POST", "/v2/heartbeats/nightly/ping")).status_code == 404
    wanted = HeartbeatCreate(source_id=mover.source.source.id, name="nightly", interval_s=3600)
    async with tenant_session(world.database, world.tenant_id) as session:
        await create_heartbeat(session, wanted, most=10, actor=ACTOR, now=EPOCH)
    for method in ("GET", "POST", "PUT", "PATCH"):
        answer = await mover.genie(method, "/v2/heartbeats/nightly/ping")
        assert (answer.status_code, answer.json()["result"]) == (202, "PONG - Heartbeat received")
    assert [row["beats"] for row in await mover.rows("select beats from heartbeats")] == [4]
    # As Alertmanager's webhook can say it.
    assert (await world.api.post("/v2/heartbeats/nightly/ping", auth=("", mover.key))).status_code == 202
    assert (await world.api.post("/v2/heartbeats/nightly/ping", auth=("", mover.key[:-1] + "~"))).status_code == 401
    assert [row["state"] for row in await mover.rows("select state from heartbeats")] == [HeartbeatState.UP.value]
