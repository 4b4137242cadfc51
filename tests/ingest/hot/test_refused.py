"""Who proves nothing, and which secrets prove what: refusals look alike."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import FakeClock
from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.schemas import SourceState
from app.ingest.service import CreatedSource, delete_source, list_refusals, rotate_secret, update_source
from app.net.keyring import KeyRing
from tests.factories.ingest import ACTOR, Sender, alert_body, committed_source, signed_headers
from tests.ingest.hot.conftest import deliveries


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
