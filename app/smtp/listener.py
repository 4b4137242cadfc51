"""The listener: opens the port, hands connections out, and stops without losing a mail that it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from app.core.clock import Clock
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest.admission import Admission
from app.ingest.bodies import Arriving
from app.ingest.known_sources import KnownSources
from app.ingest.refusals import RefusalCounter
from app.net.keyring import KeyRing
from app.settings import Settings
from app.settings.smtp import SmtpSettings
from app.smtp.certificate import Certificate
from app.smtp.gate import Gate
from app.smtp.reading import MailReader
from app.smtp.recipients import Recipients
from app.smtp.session import CLOSING, Connection
from app.smtp.taking import MailDoor

# aiosmtpd writes every command with its arguments, and an address is a secret.
_WIRE_LOG = "mail.log"


class Listener:
    """The SMTP server of one process.

    Attributes:
        port: Where it listens, once started.
    """

    def __init__(self, resources: Resources) -> None:
        settings = resources.get(Settings)
        ingest = settings.ingest
        self.settings: SmtpSettings = settings.smtp
        clock = resources.get(Clock)  # type: ignore[type-abstract]
        database = resources.get(Database)
        self._refusals = RefusalCounter(database=database, clock=clock, flush_s=ingest.refusal_flush_s)
        sources = KnownSources(
            database=database, keyring=resources.get(KeyRing), settings=ingest, monotonic=time.monotonic
        )
        self.admission = Admission(resources, kind="mail")
        self.recipients = Recipients(
            sources=sources, refusals=self._refusals, clock=clock, limited=self.admission.refusal
        )
        self.door = MailDoor(resources)
        self.reader = MailReader(
            max_bytes=self.settings.max_message_bytes, arriving=Arriving(self.settings.max_inflight_bytes)
        )
        self.gate = Gate(limit=self.settings.max_connections, limit_of_peer=self.settings.max_connections_per_peer)
        self.is_stopping = False
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """This will open the port.

        Raises:
            OSError: The port is taken, or the certificate cannot be read.
        """
        logging.getLogger(_WIRE_LOG).disabled = True
        certificate = _certificate(self.settings)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self, tls_context=certificate.context() if certificate is not None else None),
            self.settings.host,
            self.settings.port,
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """This will take no more mail, finish those under way, and close."""
        self.is_stopping = True
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            if not connection.is_busy:
                connection.hang_up(CLOSING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.stop_timeout_s):
                await self.gate.emptied.wait()
        for connection in self._connections():
            connection.hang_up(CLOSING)
        await self.door.drain()
        await self.admission.aclose()
        await self._refusals.aclose()

    def _connections(self) -> list[Connection]:
        return [connection for connection in self.gate.inside if isinstance(connection, Connection)]


def _certificate(settings: SmtpSettings) -> Certificate | None:
    if settings.certificate_file is None or settings.key_file is None:
        return None
    return Certificate(settings.certificate_file, settings.key_file)
