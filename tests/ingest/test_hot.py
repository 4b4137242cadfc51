"""The intake route over ASGI: what is taken, what is refused, and that refusals look alike."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.bodies import DRAINED_BYTES
from app.ingest.hot import IngestApp
from app.ingest.schemas import SourceState
from app.ingest.service import CreatedSource, delete_source, list_refusals, rotate_secret, update_source
from app.net.keyring import KeyRing
from tests.factories.ingest import ACTOR, Sender, alert_body, committed_source, signed_headers


async def rows(database: Database, tenant_id: TenantId, statement: str) -> list[dict[str, Any]]:
    async with tenant_session(database, tenant_id) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def deliveries(database: Database, tenant_id: TenantId) -> list[dict[str, Any]]:
    return await rows(database, tenant_id, "select * from deliveries order by id")


@pytest.fixture
async def source(resources: Resources, tenant_id: TenantId) -> CreatedSource:
    return await committed_source(resources, tenant_id)


async def test_a_signed_request_is_stored_with_its_job_before_it_is_acknowledged(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:
    body = alert_body()
    answer = await sender.send(source, body, delivery_id="msg_1")
    assert answer.status_code == 202
    assert answer.json()["duplicate"] is False
    [stored] = await deliveries(database, tenant_id)
    assert str(stored["id"]) == answer.json()["receipt_id"]
    assert answer.json()["receipt_url"] == f"/v1/receipts/{stored['id']}"
    assert (stored["state"], stored["body"], stored["external_id"]) == ("accepted", body, "msg_1")
    [job] = await rows(database, tenant_id, "select * from jobs")
    assert (job["kind"], job["state"], job["payload"]) == (
        "ingest.drain_intake",
        "scheduled",
        {"shard": stored["shard"]},
    )


async def test_headers_are_kept_without_those_that_authenticate(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId, clock: FakeClock
) -> None:  # D22
    body = alert_body()
    headers = [
        *signed_headers(source, body, clock.now()),
        ("authorization", "Bearer abc"),
        ("cookie", "a=b"),
        ("x-api-key", "k"),
        ("x-github-event", "push"),
        ("x-odd", "caf\u00e9".encode("latin-1").decode("latin-1")),
    ]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    assert (await sender.client.post(source.url_path, content=body, headers=raw)).status_code == 202
    [stored] = await deliveries(database, tenant_id)
    assert stored["headers"]["x-github-event"] == "push"
    assert not {"authorization", "cookie", "x-api-key", "webhook-signature"} & set(stored["headers"])


async def test_the_same_request_again_gets_the_first_receipt(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A21, A24: no Redis is involved
    body = alert_body()
    first = (await sender.send(source, body, delivery_id="msg_same")).json()
    again = await sender.send(source, body, delivery_id="msg_same")
    assert again.status_code == 202
    assert again.json() == {**first, "duplicate": True}
    assert len(await deliveries(database, tenant_id)) == 1


async def test_a_hundred_at_once_are_one_delivery(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A21, F33
    body = alert_body()
    answers = await asyncio.gather(*(sender.send(source, body, delivery_id="msg_storm") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["receipt_id"] for answer in answers}) == 1
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert len(await deliveries(database, tenant_id)) == 1


async def test_two_processes_with_the_same_request_store_it_once(
    sender: Sender, resources: Resources, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:
    other = IngestApp(resources)
    body = alert_body()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://b") as client:
        second = Sender(other, client, resources)
        answers = await asyncio.gather(
            *(which.send(source, body, delivery_id=f"msg_{i}") for i in range(20) for which in (sender, second))
        )
    await other.aclose()
    assert {answer.status_code for answer in answers} == {202}
    assert len(await deliveries(database, tenant_id)) == 20


async def test_one_id_for_two_bodies_stores_both_and_flags_the_second(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A22
    one, two = alert_body(title="one"), alert_body(title="two")
    first = (await sender.send(source, one, delivery_id="msg_x")).json()
    second = (await sender.send(source, two, delivery_id="msg_x")).json()
    again = (await sender.send(source, two, delivery_id="msg_x")).json()
    assert second["receipt_id"] != first["receipt_id"]
    assert again == {**second, "duplicate": True}
    stored = await deliveries(database, tenant_id)
    assert [row["body"] for row in stored] == [one, two]
    assert [row["conflicts_with"] for row in stored] == [None, UUID(first["receipt_id"])]


async def test_a_signed_id_is_remembered_as_long_as_its_profile_says_whatever_the_kind(
    sender: Sender, resources: Resources, tenant_id: TenantId, clock: FakeClock
) -> None:  # A20
    source = await committed_source(resources, tenant_id, kind="alertmanager", profile="pagerduty")
    body = b'{"version":"4","alerts":[],"event":{"id":"01DEN4HPBQAAAG05V5QQYBRZMF"}}'
    first = (await sender.send(source, body)).json()
    clock.advance(timedelta(days=3, seconds=-1))
    assert (await sender.send(source, body)).json() == {**first, "duplicate": True}


@pytest.mark.parametrize(
    ("changes", "window_s"),
    [
        pytest.param({"kind": "alertmanager"}, 60, id="the kind's"),
        pytest.param({"kind": "alertmanager", "config": {"replay_window_s": 120}}, 120, id="the source's"),
        pytest.param({"kind": "generic", "profile": "bearer"}, 600, id="the profile's"),
        pytest.param({"kind": "generic", "profile": "bearer", "config": {"replay_window_s": 5}}, 5, id="a script's"),
        pytest.param({"kind": "alertmanager", "profile": "standard_webhooks"}, 3 * 86_400, id="signed and fresh"),
    ],
)
async def test_a_replay_key_ends_with_its_window(
    sender: Sender, resources: Resources, tenant_id: TenantId, clock: FakeClock, changes: dict[str, Any], window_s: int
) -> None:
    source = await committed_source(resources, tenant_id, **changes)
    body = b'{"version":"4","groupKey":"k","alerts":[]}'
    first = (await sender.send(source, body, delivery_id="msg_w")).json()
    clock.advance(timedelta(seconds=window_s - 1))
    assert (await sender.send(source, body, delivery_id="msg_w")).json() == {**first, "duplicate": True}
    clock.advance(timedelta(seconds=2))
    later = (await sender.send(source, body, delivery_id="msg_w")).json()
    assert later["duplicate"] is False
    assert later["receipt_id"] != first["receipt_id"]


@pytest.mark.parametrize(
    "damage", ["no signature", "wrong signature", "other body", "stale", "unknown source", "odd source"]
)
async def test_every_failed_authentication_looks_the_same(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId, clock: FakeClock, damage: str
) -> None:  # A01, A17, A29, A30
    body = alert_body()
    headers = dict(signed_headers(source, body, clock.now()))
    path, sent = source.url_path, body
    if damage == "no signature":
        headers.pop("webhook-signature")
    elif damage == "wrong signature":
        headers["webhook-signature"] = "v1," + "A" * 43 + "="
    elif damage == "other body":
        sent = body + b" "
    elif damage == "stale":
        clock.advance(timedelta(seconds=301))
    else:
        path = "/in/" + ("a" * 26 if damage == "unknown source" else "%00/../x")
    answer = await sender.client.post(path, content=sent, headers=headers)
    reference = await sender.client.post("/in/" + "b" * 26, content=body)
    assert answer.status_code == 401
    assert (answer.content, answer.headers) == (reference.content, reference.headers)
    assert await deliveries(database, tenant_id) == []


async def test_refusals_are_counted_for_the_tenant_and_for_nobody_else(
    sender: Sender,
    source: CreatedSource,
    database: Database,
    tenant_id: TenantId,
    other_tenant_id: TenantId,
    clock: FakeClock,
) -> None:  # F30: never silently lost
    for _ in range(25):
        await sender.client.post(source.url_path, content=b"{}", headers={"webhook-id": "x"})
    await sender.app.aclose()
    async with tenant_session(database, tenant_id) as session:
        found = await list_refusals(session, source_id=source.source.id, now=clock.now())
        assert [(row.reason, row.count) for row in found] == [("missing", 25)]
    async with tenant_session(database, other_tenant_id) as session:
        assert await list_refusals(session, source_id=source.source.id, now=clock.now()) == []


async def test_the_secret_of_another_source_opens_nothing(
    sender: Sender, resources: Resources, source: CreatedSource, tenant_id: TenantId, clock: FakeClock
) -> None:  # A25
    other = await committed_source(resources, tenant_id)
    body = alert_body()
    headers = signed_headers(other, body, clock.now())
    assert (await sender.client.post(source.url_path, content=body, headers=headers)).status_code == 401


async def test_a_rotated_secret_holds_for_its_overlap(
    sender: Sender,
    resources: Resources,
    source: CreatedSource,
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
) -> None:  # A26
    async with tenant_session(database, tenant_id) as session:
        fresh = await rotate_secret(
            session,
            keyring=resources.get(KeyRing),
            source_id=source.source.id,
            actor=ACTOR,
            now=clock.now(),
            overlap=timedelta(minutes=10),
        )
    assert (await sender.send(source)).status_code == 202
    assert (await sender.send(fresh)).status_code == 202
    clock.advance(timedelta(minutes=10))
    assert (await sender.send(source)).status_code == 401
    assert (await sender.send(fresh)).status_code == 202


async def test_a_source_without_a_secret_refuses_everything(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A27
    async with tenant_session(database, tenant_id) as session:
        await session.execute(text("delete from source_secrets"))
    assert (await sender.send(source)).status_code == 401


async def test_a_secret_moved_from_another_source_does_not_decrypt(
    sender: Sender,
    resources: Resources,
    source: CreatedSource,
    database: Database,
    tenant_id: TenantId,
    clock: FakeClock,
) -> None:
    other = await committed_source(resources, tenant_id)
    async with tenant_session(database, tenant_id) as session:
        await session.execute(
            text(
                "update source_secrets set ciphertext = (select ciphertext from source_secrets where source_id = :other)"
                " where source_id = :mine"
            ),
            {"mine": source.source.id, "other": other.source.id},
        )
    body = alert_body()
    headers = signed_headers(other, body, clock.now())
    assert (await sender.client.post(source.url_path, content=body, headers=headers)).status_code == 401
    assert (await sender.send(source)).status_code == 401


async def test_paused_says_later_and_deleted_says_stop_but_only_to_who_knows_the_secret(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId, clock: FakeClock
) -> None:
    async with tenant_session(database, tenant_id) as session:
        await update_source(
            session,
            source_id=source.source.id,
            changes={"state": SourceState.PAUSED},
            actor=ACTOR,
            now=clock.now(),
        )
    paused = await sender.send(source)
    assert (paused.status_code, paused.headers["retry-after"]) == (503, "1")
    async with tenant_session(database, tenant_id) as session:
        await delete_source(session, source_id=source.source.id, actor=ACTOR, now=clock.now())
    assert (await sender.send(source)).status_code == 410
    assert (await sender.client.post(source.url_path, content=b"{}")).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_other_methods_are_refused_unread(sender: Sender, source: CreatedSource, method: str) -> None:  # A32
    scope = {"type": "http", "method": method, "path": source.url_path, "headers": [], "query_string": b""}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    await sender.app(scope, receive, send)
    assert sent[0]["status"] == 405
    assert (b"allow", b"POST") in sent[0]["headers"]


@pytest.mark.parametrize("declared", [True, False])
async def test_an_endless_body_is_cut_off_at_the_cap(
    sender: Sender, source: CreatedSource, declared: bool
) -> None:  # B01
    read = answered_after = 0
    sent: list[dict[str, Any]] = []
    length = [(b"content-length", b"99999999")] if declared else []
    scope = {"type": "http", "method": "POST", "path": source.url_path, "headers": length, "query_string": b""}

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 65_536
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    async def send(message: Any) -> None:
        nonlocal answered_after
        answered_after = answered_after if sent else read
        sent.append(message)

    await sender.app(scope, receive, send)
    assert sent[0]["status"] == 413
    # What comes after the answer is read so that the sender hears it, and is forgotten.
    assert answered_after == (0 if declared else 1_048_576 + 65_536)
    assert read == answered_after + DRAINED_BYTES


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 202),
        ("application/vnd.x+json", 202),
        ("text/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/x-yaml", 415),
    ],
)
async def test_only_json_goes_on_after_the_signature(
    sender: Sender, source: CreatedSource, clock: FakeClock, content_type: str, status: int
) -> None:  # B17, B18, B20
    body = alert_body()
    headers = {**dict(signed_headers(source, body, clock.now())), "content-type": content_type}
    assert (await sender.client.post(source.url_path, content=body, headers=headers)).status_code == status


async def test_compressed_bodies_are_refused_where_the_profile_does_not_take_them(
    sender: Sender, source: CreatedSource, clock: FakeClock
) -> None:  # A31, B03
    body = gzip.compress(alert_body())
    headers = [*signed_headers(source, body, clock.now()), ("content-encoding", "gzip")]
    assert (await sender.client.post(source.url_path, content=body, headers=headers)).status_code == 415


async def test_signed_bytes_that_are_no_text_are_kept_as_rejected(
    sender: Sender, source: CreatedSource, database: Database, tenant_id: TenantId
) -> None:  # A15, B09
    answer = await sender.send(source, b'{"title": "\xff\xfe"}')
    assert answer.status_code == 400
    [stored] = await deliveries(database, tenant_id)
    assert (stored["state"], stored["reason"]) == ("rejected", "body.not_utf8")
    assert answer.json()["receipt_id"] == str(stored["id"])
    assert await rows(database, tenant_id, "select * from jobs") == []


async def test_slack_is_answered_its_challenge_only_when_it_signed_it(
    sender: Sender, resources: Resources, tenant_id: TenantId, database: Database, clock: FakeClock
) -> None:  # A39
    source = await committed_source(resources, tenant_id, profile="slack")
    body = orjson.dumps({"type": "url_verification", "challenge": "abc123"})
    signed = await sender.send(source, body)
    assert (signed.status_code, signed.text) == (200, "abc123")
    unsigned = await sender.client.post(source.url_path, content=body, headers={"content-type": "application/json"})
    assert unsigned.status_code == 401
    assert await deliveries(database, tenant_id) == []


async def test_the_secret_of_a_url_source_never_reaches_the_database(
    sender: Sender, resources: Resources, tenant_id: TenantId, database: Database
) -> None:  # A33
    source = await committed_source(resources, tenant_id, profile="url_secret")
    answer = await sender.client.post(source.url_path, json={"title": "x"})
    assert answer.status_code == 202
    stored = await deliveries(database, tenant_id)
    assert source.secret is not None
    assert source.secret not in repr(stored)
