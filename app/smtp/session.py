"""One SMTP connection: aiosmtpd's dialogue and STARTTLS, with our reading, our addresses and bounds on everything.

Its logger is silenced by the listener: it writes each command, and an address is a secret here.
Source: RFC 5321; RFC 3207 (STARTTLS); RFC 1870 (SIZE); RFC 2920 (PIPELINING); RFC 3463 (enhanced codes).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol, cast

import structlog
from aiosmtpd.smtp import SMTP

from app.core.errors import Unavailable
from app.ingest.admission import Admission
from app.ingest.known_sources import KnownSource
from app.observability.tracing import new_root
from app.settings.smtp import SmtpSettings
from app.smtp.addresses import parse_path
from app.smtp.gate import Gate
from app.smtp.measures import MESSAGES, RECIPIENTS, SECONDS
from app.smtp.reading import MailReader, TooMuch
from app.smtp.recipients import Recipients, Refusal
from app.smtp.taking import Mail, MailDoor, receipts_of

log = structlog.get_logger(__name__)

TRY_AGAIN = "451 4.3.0 the mail was not taken, try again later"
CLOSING = "421 4.3.2 the server is stopping, try again later"
_NO_SUCH = "550 5.1.1 no such recipient"
_REPLIES = {
    Refusal.UNKNOWN: _NO_SUCH,
    Refusal.GONE: "550 5.1.6 this recipient was removed",
    Refusal.PAUSED: "450 4.2.1 this recipient takes no mail now, try again later",
    Refusal.LIMITED: "452 4.3.1 too much mail waits, try again later",
    Refusal.UNAVAILABLE: "451 4.3.0 recipients cannot be looked up now, try again later",
}
# Of each kind; what a connection may need, and no more.
_COMMANDS = {"*": 20, "NOOP": 20, "RSET": 200, "EHLO": 10, "HELO": 10, "STARTTLS": 2, "VRFY": 5, "HELP": 5}


class Shared(Protocol):
    """What the connections of a listener share."""

    settings: SmtpSettings
    recipients: Recipients
    door: MailDoor
    admission: Admission
    reader: MailReader
    gate: Gate
    is_stopping: bool


class Connection(SMTP):
    """The protocol of one connection.

    Attributes:
        is_busy: Whether a mail is being taken: between DATA and its answer.
    """

    def __init__(self, shared: Shared, *, tls_context: Any) -> None:
        settings = shared.settings
        # Read when the stream is made, in the constructor above us.
        self.line_length_limit = settings.max_line_bytes
        per_kind = {"MAIL": settings.max_messages, "DATA": settings.max_messages}
        super().__init__(
            self,
            data_size_limit=settings.max_message_bytes,
            enable_SMTPUTF8=True,
            hostname=settings.domain,
            ident="ESMTP",
            tls_context=tls_context,
            require_starttls=settings.require_starttls,
            timeout=settings.command_timeout_s,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit=_COMMANDS | per_kind | {"RCPT": settings.max_messages * settings.max_recipients},
        )
        self._shared = shared
        self._found: list[tuple[KnownSource, str]] = []
        self._errors = 0
        self._peer = ""
        self._let_in = False
        self._end: asyncio.TimerHandle | None = None
        self.is_busy = False

    # --- the connection itself

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """This will let the peer in, or tell it to come back; after STARTTLS it is called again."""
        if self._let_in:
            super().connection_made(transport)
            return
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        refused = CLOSING if self._shared.is_stopping else self._shared.gate.enter(self, self._peer)
        if refused is not None:
            out = cast("asyncio.WriteTransport", transport)
            out.write(refused.encode() + b"\r\n")
            out.close()
            return
        self._let_in = True
        self._end = self.loop.call_later(self._shared.settings.session_timeout_s, self._timeout_cb)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """This will give the place back."""
        if not self._let_in:
            return
        if self._end is not None:
            self._end.cancel()
        self._shared.gate.leave(self, self._peer)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """This will pass on what comes, from a peer that was let in."""
        if self._let_in:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """This will end the dialogue with the peer's side of it."""
        return super().eof_received() if self._let_in else False

    def _set_rset_state(self) -> None:
        """This will forget the mail that was begun: the library calls it for HELO, EHLO, RSET and after STARTTLS."""
        super()._set_rset_state()  # type: ignore[no-untyped-call]
        self._found = []

    def hang_up(self, reply: str) -> None:
        """This will say why and close."""
        transport = cast("asyncio.WriteTransport | None", self.transport)
        if transport is not None and not transport.is_closing():
            transport.write(reply.encode() + b"\r\n")
            transport.close()

    def _timeout_cb(self) -> None:
        self.hang_up("421 4.4.2 too slow, closing the connection")

    async def handle_exception(self, error: Exception) -> str:
        """This will answer for what nobody anticipated: the mail was not taken, and may come again."""
        log.error("smtp.failed", error_type=type(error).__name__, exc_info=error)
        MESSAGES.labels("failed").inc()
        return TRY_AGAIN

    # --- the dialogue

    async def handle_EHLO(  # noqa: N802 - aiosmtpd finds its hooks by name
        self, _server: object, session: Any, _envelope: object, hostname: str, responses: list[str]
    ) -> list[str]:
        """This will announce what there is; there is nothing to log in to."""
        session.host_name = hostname
        offered = [line for line in responses if not line.startswith("250-AUTH")]
        return [*offered[:-1], "250-PIPELINING", offered[-1]]

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        """This will refuse: an address is all that proves anything here."""
        await self.push("502 5.5.1 there is nothing to log in to")

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802
        """This will tell nothing."""
        await self.push("252 2.1.5 send the mail and see")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        found = parse_path(arg)
        # The library takes an empty sender for a missing one.
        return (found[0] or "<>", found[1]) if found is not None else (None, None)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """This will close the connection of one that tries addresses out."""
        await super().smtp_RCPT(arg)
        if self._errors >= self._shared.settings.max_errors:
            self.hang_up("421 4.7.0 too many refused recipients")

    async def handle_MAIL(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, options: list[str]
    ) -> str:
        """This will begin a mail."""
        if self._shared.is_stopping:
            return CLOSING
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """This will take a recipient that proves to be a source."""
        if len(envelope.rcpt_tos) >= self._shared.settings.max_recipients:
            return "452 4.5.3 too many recipients"
        found = await self._shared.recipients.judge(address)
        if isinstance(found, Refusal):
            RECIPIENTS.labels(found.value).inc()
            self._errors += found is Refusal.UNKNOWN
            return _REPLIES[found]
        if not self._shared.door.has_room(found[0].tenant_id):
            RECIPIENTS.labels("crowded").inc()
            return "452 4.3.1 too much mail waits, try again later"
        RECIPIENTS.labels("accepted").inc()
        envelope.rcpt_tos.append("accepted")  # never the address: the library keeps and logs it
        self._found.append(found)
        return "250 2.1.5 OK"

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """This will read a mail and answer once it is committed."""
        if await self.check_helo_needed():
            return
        if not self._found or self.envelope is None:
            await self.push("503 5.5.1 no recipient was accepted")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        sender = "" if self.envelope.mail_from == "<>" else str(self.envelope.mail_from or "")
        recipients, self._found = self._found, []
        self.envelope = self._create_envelope()
        self.is_busy = True
        started = time.perf_counter()
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            self._reset_timeout(self._shared.settings.data_timeout_s)
            await self._read_and_take(sender, recipients, started)
        finally:
            self.is_busy = False
        if self._shared.is_stopping:
            self.hang_up(CLOSING)

    async def _read_and_take(self, sender: str, recipients: list[tuple[KnownSource, str]], started: float) -> None:
        try:
            content = await self._shared.reader.read(self._reader)
        except TooMuch as refused:
            self._account("too_large" if refused.reply.startswith("5") else "crowded", 0, started)
            if refused.is_over:
                await self.push(refused.reply)
            else:
                self.hang_up(refused.reply)
            return
        # The mail is here: what follows is our time, not the sender's.
        self._reset_timeout(self._shared.settings.data_timeout_s)
        is_encrypted = self.session is not None and self.session.ssl is not None
        await self.push(await self._take(Mail(sender, recipients, content, is_encrypted), started))

    async def _take(self, mail: Mail, started: float) -> str:
        with new_root("ingest.receive_mail", attributes={"tocsin.mail.recipients": len(mail.recipients)}):
            try:
                stored = await self._shared.door.take(mail)
            except Unavailable:
                self._account("temporary", len(mail.content), started)
                return TRY_AGAIN
            for source in {source.source_id: source for source, _ in mail.recipients}.values():
                self._shared.admission.took(source, len(mail.content))
            outcome = "duplicate" if all(entry.duplicate for entry in stored) else "accepted"
            receipts = [str(receipt) for receipt in receipts_of(stored)]
            self._account(outcome, len(mail.content), started, receipts=receipts)
        return f"250 2.6.0 accepted as {receipts[0]}"

    def _account(self, outcome: str, size_bytes: int, started: float, *, receipts: list[str] | None = None) -> None:
        seconds = time.perf_counter() - started
        MESSAGES.labels(outcome).inc()
        SECONDS.observe(seconds)
        log.info(
            "smtp.mail", outcome=outcome, size_bytes=size_bytes, seconds=round(seconds, 3), receipts=receipts or []
        )
