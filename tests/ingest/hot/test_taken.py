"""The intake route over ASGI: what is taken, what is kept of it, and what is turned away for its form."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest.bodies import DRAINED_BYTES
from app.ingest.service import CreatedSource
from tests.factories.ingest import Sender, alert_body, committed_source, signed_headers
from tests.ingest.hot.conftest import deliveries, rows


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
