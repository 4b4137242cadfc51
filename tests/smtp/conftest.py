"""A real listener on a port of its own, on the test's database, and senders by socket and by smtplib."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import text

from app.core.ids import TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.rules.mail import address_of
from app.ingest.service import CreatedSource
from app.settings import Settings
from app.smtp.listener import Listener
from tests.factories.ingest import committed_source
from tests.ingest.conftest import without_memory

TIMEOUT_S = 20.0


class Wire:
    """A socket that speaks SMTP by hand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._file = self._socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> str:
        """One reply, its last line; empty where the connection was closed."""
        while True:
            line = self._file.readline().decode()
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def say(self, line: str) -> str:
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def begin(self, *recipients: str, sender: str = "mon@example.com") -> str:
        """EHLO to DATA; the last reply."""
        self.say("EHLO test")
        self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            self.say(f"RCPT TO:<{recipient}>")
        return self.say("DATA")

    def until_closed(self) -> bytes:
        """What still comes, until the other side closes."""
        with contextlib.suppress(OSError):
            return self._file.read()
        return b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@dataclass
class Mailbox:
    """An email source and the listener that takes its mail."""

    listener: Listener
    created: CreatedSource
    resources: Resources
    tenant_id: TenantId

    @property
    def address(self) -> str:
        assert self.created.secret is not None
        return address_of(self.created.source.public_id, self.created.secret, domain="alerts.example.com")

    async def speak(self, dialogue: Callable[[Wire], Any]) -> Any:
        """Run a dialogue on a thread, as the listener runs on this one's loop."""

        def run() -> Any:
            wire = Wire(self.listener.port)
            try:
                return dialogue(wire)
            finally:
                wire.close()

        return await asyncio.to_thread(run)

    async def send(self, message: EmailMessage | bytes, *recipients: str, sender: str = "mon@example.com") -> Any:
        """Send a mail as a program does; the replies for refused recipients, or the error."""
        data = message if isinstance(message, bytes) else message.as_bytes()

        def run() -> Any:
            with smtplib.SMTP("127.0.0.1", self.listener.port, timeout=TIMEOUT_S) as client:
                return client.sendmail(sender, list(recipients) or [self.address], data)

        return await asyncio.to_thread(run)

    async def deliveries(self) -> list[Any]:
        """The stored deliveries of the source, oldest first."""
        async with tenant_session(self.resources.get(Database), self.tenant_id) as session:
            found = await session.execute(
                text("select * from deliveries where source_id = :id order by id"), {"id": self.created.source.id}
            )
            return list(found.all())


HEAD = b"Subject: x\r\n\r\n"


def mail(subject: str = "Disk full on db-1", body: str = "93 %\n", **headers: str) -> EmailMessage:
    """The smallest mail that makes sense."""
    message = EmailMessage()
    message["From"], message["Subject"] = "mon@example.com", subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


@pytest.fixture
def smtp_settings() -> dict[str, Any]:
    """What a test changes of the listener's settings."""
    return {}


@pytest.fixture
async def listener(resources: Resources, smtp_settings: dict[str, Any]) -> AsyncIterator[Listener]:
    without_memory(resources)
    settings = resources.get(Settings)
    changed = settings.smtp.model_copy(update={"port": 0, "domain": "mx.tocsin.test"} | smtp_settings)
    resources.provide(Settings, settings.model_copy(update={"smtp": changed}))
    listener = Listener(resources)
    await listener.start()
    yield listener
    await listener.stop()


@pytest.fixture
async def mailbox(listener: Listener, resources: Resources, tenant_id: TenantId) -> Mailbox:
    created = await committed_source(resources, tenant_id, kind="email", secret="k3v9" * 8)
    return Mailbox(listener, created, resources, tenant_id)
