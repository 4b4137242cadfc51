"""Taking a mail: one delivery for each source that it is for, all committed before the sender hears of it.

The same transaction as behind ``/in/{source}``: the delivery, its replay key and the intake job in one, shared with what
else arrives (``batches.write_batch`` in a ``GroupCommit``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import orjson

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest.batches import write_batch
from app.ingest.group_commit import GroupCommit
from app.ingest.known_sources import KnownSource
from app.ingest.rules import values
from app.ingest.schemas import Intake, Stored
from app.ingest.sources.email.automatic import ENVELOPE_FROM
from app.ingest.sources.email.headers import read_headers, split_mail
from app.observability.tracing import current_traceparent
from app.settings import Settings

REPEAT_WINDOW_S = 600.0
RETRY_WINDOW_S = 5 * 86_400.0
"""How long a mail server tries again. Source: RFC 5321, section 4.5.4.1."""
_SECRET_SHOWN = b"[secret]"
_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class Mail:
    """A mail whose recipients have proved to be sources.

    Attributes:
        sender: Of the envelope; empty for a report about an undelivered mail.
        recipients: Each with its secret as it was spelt in the address.
        content: The mail itself, dots unstuffed.
    """

    sender: str
    recipients: Sequence[tuple[KnownSource, str]]
    content: bytes
    is_encrypted: bool


class MailDoor:
    """Stores mails as deliveries."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.get(Settings).ingest
        self._clock = resources.get(Clock)  # type: ignore[type-abstract]
        self._commits = GroupCommit(partial(write_batch, resources.get(Database), settings), settings)

    def has_room(self, tenant_id: TenantId) -> bool:
        """This will say whether another delivery of the tenant may wait for its commit."""
        return self._commits.has_room(tenant_id)

    async def drain(self) -> None:
        """This will finish the commits under way."""
        await self._commits.drain()

    async def take(self, mail: Mail) -> list[Stored]:
        """This will store the mail for each of its sources and return when all of them are on disk.

        Raises:
            Unavailable: One of them could not be stored; the sender is to try again, and what was stored is then known.
        """
        content = without_secrets(mail.content, [secret for _, secret in mail.recipients])
        sources = {source.source_id: source for source, _ in mail.recipients}
        waiting = [
            self._commits.submit(source.tenant_id, self._intake(source, mail, content)) for source in sources.values()
        ]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Stored)]

    def _intake(self, source: KnownSource, mail: Mail, content: bytes) -> Intake:
        block, body = split_mail(content)
        headers = read_headers(block[:_HEADER_BYTES])
        message_id = values.one_line(headers.first("message-id"), limit=255)
        # Each host on the way adds a line to the header, so a retry is the same mail by what those leave alone. The id by
        # itself will not do: there are senders that have one for all their mails.
        named = "\x00".join((message_id, *(" ".join(headers.first(name).split()) for name in ("subject", "date")), ""))
        digest = hashlib.sha256(named.encode("utf-8", "surrogatepass") + body if message_id else content).digest()
        envelope = {ENVELOPE_FROM: _clean(mail.sender), "content-type": "message/rfc822"}
        return Intake(
            id=new_id(),
            source_id=source.source_id,
            shard=source.shard,
            received_at=self._clock.now(),
            external_id=message_id or None,
            replay_key=hashlib.sha256(b"mail\x00" + digest).digest(),
            body_sha256=digest,
            replay_window_s=RETRY_WINDOW_S if message_id else REPEAT_WINDOW_S,
            headers=orjson.dumps(envelope | ({"x-smtp-tls": "1"} if mail.is_encrypted else {})).decode(),
            body=content,
            traceparent=current_traceparent(),
        )


def without_secrets(content: bytes, secrets: Sequence[str]) -> bytes:
    """This will take the secrets out of a mail: its own To line would keep them readable among the raw bodies.

    In whatever capitals: a host on the way may have changed those of the envelope, and not those of the header.
    """
    for secret in secrets:
        parts = []
        wanted, lowered = secret.lower().encode(), content.lower()
        at = 0
        while (found := lowered.find(wanted, at)) >= 0:
            parts += [content[at:found], _SECRET_SHOWN]
            at = found + len(wanted)
        content = b"".join([*parts, content[at:]]) if parts else content
    return content


def receipts_of(stored: Sequence[Stored]) -> list[UUID]:
    """This will return the receipts, for the answer and the log."""
    return [entry.receipt_id for entry in stored]


def _clean(address: str) -> str:
    return values.one_line(address.encode("utf-8", "replace").decode(), limit=320)


__all__ = ["Mail", "MailDoor", "Unavailable", "receipts_of", "without_secrets"]
