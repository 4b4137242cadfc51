"""``python -m app.smtp`` beside the other real processes: from a mail to an incident, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.db.engine import Database
from app.db.migrate import ROOT
from app.db.tenancy import tenant_session
from app.embedded.valkey import free_port
from app.ingest.rules.mail import address_of
from app.ingest.service import CreatedSource
from app.net.keyring import KeyRing
from app.smtp.__main__ import build_resources
from tests.factories.ingest import make_source
from tests.fixtures.database import make_tenant
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until
from tests.smtp.conftest import mail


class MailProcess:
    """The listener as a process of the stack."""

    def __init__(self, stack: ProcessStack) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._log = (stack.folder / "smtp.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.smtp"],
            cwd=ROOT,
            env={
                **stack._environment(),
                "TOCSIN_SMTP__PORT": str(self.port),
                "TOCSIN_SMTP__METRICS_PORT": str(self.metrics_port),
            },
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    async def ready(self) -> None:
        async with httpx.AsyncClient(timeout=2) as client:

            async def answers() -> bool:
                try:
                    found = await client.get(f"http://127.0.0.1:{self.metrics_port}/readyz")
                except httpx.HTTPError:
                    return False
                return found.status_code == 200

            await wait_until(answers, timeout_s=40, every_s=0.1, what="the listener is ready")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self._log.close()
        return status


@pytest.fixture
async def listening(stack: ProcessStack) -> AsyncIterator[MailProcess]:
    found = MailProcess(stack)
    try:
        await found.ready()
        yield found
    finally:
        if found.process.poll() is None:
            os.killpg(found.process.pid, signal.SIGKILL)
            found.process.wait(10)


async def make_mailbox(stack: ProcessStack) -> tuple[Database, TenantId, CreatedSource]:
    resources = build_resources(stack.settings)
    database = resources.get(Database)
    tenant_id = await make_tenant(database)
    async with tenant_session(database, tenant_id) as session:
        created = await make_source(session, resources.get(KeyRing), kind="email")
    return database, tenant_id, created


async def rows(database: Database, tenant_id: TenantId, query: str) -> list[Any]:
    async with tenant_session(database, tenant_id) as session:
        return list((await session.execute(text(query))).all())


@pytest.mark.timeout(180)
async def test_a_problem_opens_an_incident_and_its_recovery_resolves_it(
    stack: ProcessStack, listening: MailProcess, tmp_path: Path
) -> None:
    database, tenant_id, created = await make_mailbox(stack)
    address = address_of(created.source.public_id, str(created.secret), domain="alerts.example.com")
    assert len(address.partition("@")[0]) <= 64

    def send(subject: str) -> None:
        with smtplib.SMTP("127.0.0.1", listening.port, timeout=20) as client:
            client.sendmail("mon@example.com", [address], mail(subject).as_bytes())

    incidents = "select state, severity, title from incidents"
    await asyncio.to_thread(send, "PROBLEM: db-1/load is CRITICAL")

    async def states() -> list[str]:
        return [row.state for row in await rows(database, tenant_id, incidents)]

    async def opened() -> bool:
        return await states() == ["open"]

    async def resolved() -> bool:
        return await states() == ["resolved"]

    await wait_until(opened, timeout_s=30, what="the incident is open")
    await asyncio.to_thread(send, "RECOVERY: db-1/load is OK")
    await wait_until(resolved, timeout_s=30, what="the incident is resolved")
    (found,) = await rows(database, tenant_id, incidents)
    assert (found.severity, found.title) == ("P1", "PROBLEM: db-1/load is CRITICAL")
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{listening.metrics_port}/metrics")).text
    assert 'tocsin_smtp_messages_total{outcome="accepted"} 2.0' in metrics
    assert listening.stop() == 0
    log = (tmp_path / "smtp.log").read_text()
    assert log.count('"event":"smtp.mail"') == 2
    assert str(created.secret) not in log
    await database.dispose()
