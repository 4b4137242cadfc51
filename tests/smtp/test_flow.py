"""From the wire through the worker: bombs become plain alerts, machines' answers a receipt that says why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.settings import Settings
from app.smtp.listener import Listener
from tests.factories.ingest import committed_source
from tests.fixtures.database import make_tenant
from tests.fixtures.jobs import run_jobs
from tests.ingest.conftest import without_memory
from tests.smtp.conftest import Mailbox, mail

HEAD = b"From: a@b.example\r\nSubject: %b\r\nMIME-Version: 1.0\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
BOMBS = {
    b"nested": MIXED + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 40_000,
    b"parts": MIXED + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 100_000,
    b"header": b"".join(b"X-%d: %b\r\n" % (n, b"y" * 900) for n in range(2_000)) + b"\r\nx\r\n",
    b"page": b"Content-Type: text/html\r\n\r\n" + (b"<div><p>" * 100 + b"\r\n") * 3_000,
}


@pytest.fixture
async def scratch_mailbox(scratch_resources: Resources, scratch_database: Database) -> AsyncIterator[Mailbox]:
    without_memory(scratch_resources)
    settings = scratch_resources.get(Settings)
    smtp = settings.smtp.model_copy(update={"port": 0})
    scratch_resources.provide(Settings, settings.model_copy(update={"smtp": smtp}))
    listener = Listener(scratch_resources)
    await listener.start()
    tenant_id = await make_tenant(scratch_database)
    created = await committed_source(scratch_resources, tenant_id, kind="email")
    yield Mailbox(listener, created, scratch_resources, tenant_id)
    await listener.stop()


async def rows(mailbox: Mailbox, query: str) -> list[Any]:
    async with tenant_session(mailbox.resources.get(Database), mailbox.tenant_id) as session:
        return list((await session.execute(text(query))).all())


async def test_bombs_become_plain_alerts(scratch_mailbox: Mailbox) -> None:
    for name, content in BOMBS.items():
        await scratch_mailbox.send(HEAD % name + content)
    await run_jobs(scratch_mailbox.resources)
    states = await rows(scratch_mailbox, "select state, reason from deliveries")
    assert [(row.state, row.reason) for row in states] == [("processed", "")] * len(BOMBS)
    titles = await rows(scratch_mailbox, "select title from alerts order by title")
    assert [row.title for row in titles] == sorted(name.decode() for name in BOMBS)


async def test_an_automatic_answer_is_a_receipt_with_its_reason_and_no_alert(scratch_mailbox: Mailbox) -> None:
    await scratch_mailbox.send(mail("Out of office", Auto_Submitted="auto-replied"))
    await scratch_mailbox.send(mail("Undelivered"), sender="")
    await run_jobs(scratch_mailbox.resources)
    found = await rows(scratch_mailbox, "select state, result from deliveries order by id")
    assert [row.state for row in found] == ["processed"] * 2
    assert [row.result["warnings"] for row in found] == [
        ["no alert: an automatic answer (Auto-Submitted: auto-replied)"],
        ["no alert: it has no sender: a report about an undelivered mail"],
    ]
    assert await rows(scratch_mailbox, "select 1 from alerts") == []
