"""Taking a delivery whose sender has proved who it is: type, encoding, group commit, receipt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest import answers
from app.ingest.admission import Admission
from app.ingest.answers import Answer
from app.ingest.batches import write_batch
from app.ingest.bodies import TooLarge, gunzip
from app.ingest.group_commit import GroupCommit
from app.ingest.known_sources import KnownSource
from app.ingest.refusals import RefusalCounter, Seen
from app.ingest.rules.limits import Limited
from app.ingest.rules.requests import accepts_type
from app.ingest.schemas import Intake, Stored
from app.net.signing import SignedRequest, Verified
from app.observability.tracing import current_traceparent, new_root, unrecorded_root
from app.settings import Settings


class DeliveryGate:
    """Lets in what is within the limits, and has room among those that wait for a commit."""

    def __init__(self, admission: Admission, commits: GroupCommit) -> None:
        self._admission = admission
        self._commits = commits

    def refusal(self, source: KnownSource) -> Limited | None:
        """This will say why nothing of the source is taken now, or None."""
        if not self._commits.has_room(source.tenant_id):
            return Limited.BACKLOG
        return self._admission.refusal(source)

    def took(self, source: KnownSource, size_bytes: int) -> None:
        """This will count a verified request of the source."""
        self._admission.took(source, size_bytes)


class DeliveryDoor:
    """``/in/{source}`` itself: keeps the request as a delivery, and answers with its receipt once it is on disk."""

    methods = frozenset({"POST"})

    def __init__(self, resources: Resources, refusals: RefusalCounter, admission: Admission) -> None:
        self._settings = resources.get(Settings).ingest
        self._clock = resources.get(Clock)  # type: ignore[type-abstract]
        self._refusals = refusals
        self._database = resources.get(Database)
        self._commits = GroupCommit(self._write, self._settings)
        self.gate = DeliveryGate(admission, self._commits)
        self._overloaded = answers.overloaded(self._settings.retry_after_s)

    def serves(self, source: KnownSource) -> bool:
        """This will say that every kind of source delivers here."""
        return True

    async def drain(self) -> None:
        """This will finish the commits under way."""
        await self._commits.drain()

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will store the request and answer with its receipt, once it is committed."""
        content_type, encoding, traceparent = _wanted(request.headers)
        if not accepts_type(content_type, source.content_types):
            self._note(source, "content_type")
            return answers.MEDIA_TYPE
        body = self._decoded(source, request.body, encoding)
        if isinstance(body, Answer):
            return body
        fault = None if _is_utf8(body) else "body.not_utf8"
        try:
            stored = await self.store(source, verdict, request, body, fault=fault, traceparent=traceparent)
        except Unavailable:
            return self._overloaded
        if fault is not None:
            self._note(source, fault)
            return answers.not_text(stored.receipt_id)
        if stored.conflicts_with is not None:
            # Kept, both of them; but one signed id for two bodies is a sender's mistake, or a stolen secret.
            self._note(source, "replay_conflict", request)
        return answers.accepted(source.profile.responses.ok, stored.receipt_id, duplicate=stored.duplicate)

    async def store(
        self,
        source: KnownSource,
        verdict: Verified,
        request: SignedRequest,
        body: bytes,
        *,
        delivery_id: UUID | None = None,
        fault: str | None = None,
        traceparent: str | None = None,
    ) -> Stored:
        """This will keep a request, and return when it is on disk: also for doors that answer in their own way.

        Args:
            source: Whose request.
            verdict: What makes it the same request again, and for how long.
            request: With the headers to be kept.
            body: Decoded.
            delivery_id: Chosen beforehand where the answer names it; a request that came before keeps its own.
            fault: Why it is kept as rejected.
            traceparent: The sender's, as a link.

        Raises:
            Unavailable: It was not stored; to be sent again.
        """
        root = unrecorded_root()
        intake = self._intake(source, verdict, request, body, root, fault, delivery_id or new_id())
        if root is not None:
            return await self._commits.submit(source.tenant_id, intake)
        return await self._store_traced(source.tenant_id, intake, traceparent)

    async def _store_traced(self, tenant_id: TenantId, intake: Intake, linked: str | None) -> Stored:
        """Store it in a trace of its own; the sender's traceparent is a link at the most (D24)."""
        attributes = {"tocsin.delivery.id": str(intake.id)}
        with new_root("ingest.receive", link_to=linked, attributes=attributes, chosen=True):
            return await self._commits.submit(tenant_id, intake._replace(traceparent=current_traceparent()))

    def _decoded(self, source: KnownSource, body: bytes, encoding: bytes | None) -> bytes | Answer:
        if encoding is None or encoding == b"identity":
            return body
        if encoding != b"gzip" or "gzip" not in source.profile.limits.content_encodings:
            self._note(source, "content_encoding")
            return answers.ENCODING
        try:
            return gunzip(body, cap_bytes=source.max_body_bytes)
        except TooLarge:
            self._note(source, "too_large")
            return answers.TOO_LARGE
        except ValueError:
            self._note(source, "content_encoding")
            return answers.BAD_ENCODING

    def _intake(
        self,
        source: KnownSource,
        verdict: Verified,
        request: SignedRequest,
        body: bytes,
        traceparent: str | None,
        fault: str | None,
        delivery_id: UUID,
    ) -> Intake:
        window = source.replay_window_s
        return Intake(
            id=delivery_id,
            source_id=source.source_id,
            shard=source.shard,
            received_at=self._clock.now(),
            external_id=verdict.delivery_id,
            replay_key=verdict.replay_key,
            body_sha256=hashlib.sha256(request.body).digest(),
            replay_window_s=window if window is not None else verdict.replay_window.total_seconds(),
            headers=source.headers.keep(request.headers),
            body=body,
            traceparent=traceparent,
            reason=fault,
        )

    async def _write(self, tenant_id: TenantId, batch: Sequence[Intake]) -> list[Stored]:
        return await write_batch(self._database, self._settings, tenant_id, batch)

    def _note(self, source: KnownSource, reason: str, request: SignedRequest | None = None) -> None:
        seen = Seen(len(request.body), request.headers, source.id_headers) if request is not None else None
        self._refusals.note(source.tenant_id, source.source_id, reason, seen=seen)


def _wanted(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None, str | None]:
    """Content type, content encoding and traceparent, in one pass."""
    content_type = encoding = None
    traceparent = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-encoding":
            encoding = value.strip().lower()
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
    return content_type, encoding, traceparent


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
