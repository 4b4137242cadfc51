"""``POST /in/{source}``: the one route that must be fast, as a bare ASGI application in front of FastAPI.

Order: cap while streaming, source (from memory), signature over the raw bytes, freshness, group commit, 202. Whatever
is wrong with the authentication, the source's very existence included, gives one and the same 401.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog
from prometheus_client import Counter

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.failpoints import failpoint
from app.core.ids import TenantId, new_id
from app.core.resources import Resources
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest import answers, batches
from app.ingest.answers import Answer
from app.ingest.bodies import Arriving, ClientGone, Crowded, Receive, TooLarge, gunzip, read_body
from app.ingest.group_commit import GroupCommit
from app.ingest.known_sources import KnownSource, KnownSources, NobodysCaps
from app.ingest.openapi import openapi_path_item
from app.ingest.refusals import RefusalCounter
from app.ingest.rules.requests import accepts_type
from app.ingest.schemas import Intake, SourceState, Stored
from app.net.keyring import KeyRing
from app.net.signing import Refused, SignedRequest, Verified, dummy_verify, verify
from app.observability.metrics import counter, histogram
from app.observability.tracing import current_traceparent, new_root, unrecorded_root
from app.settings import Settings

log = structlog.get_logger(__name__)

REQUESTS = counter(
    "tocsin_ingest_requests_total", "Requests to the intake route, by what they were answered.", ("outcome",)
)
REFUSED = counter("tocsin_ingest_refused_total", "Requests that proved nothing, by reason.", ("reason",))
LATENCY = histogram(
    "tocsin_ingest_request_seconds", "Seconds from the first byte to the answer of the intake route.", ()
)

__all__ = ["IngestApp", "openapi_path_item"]

PREFIX = "/in/"
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class IngestApp:
    """The intake route of one process. Mount it in front of everything for paths that start with ``/in/``."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.get(Settings).ingest
        self._settings = settings
        self._clock = resources.get(Clock)  # type: ignore[type-abstract]
        self._database = resources.get(Database)
        self.sources = KnownSources(
            database=self._database,
            keyring=resources.get(KeyRing),
            settings=settings,
            monotonic=time.monotonic,
        )
        self._commits = GroupCommit(self._write, settings)
        self._refusals = RefusalCounter(database=self._database, clock=self._clock, flush_s=settings.refusal_flush_s)
        self._counters: dict[str, Counter] = {}
        self._requests = 0
        self._bytes = 0
        self._arriving = Arriving(settings.max_inflight_bytes)
        self._nobodys_caps = NobodysCaps(
            settings.unknown_source_max_body_bytes, key=resources.get(Settings).security.token_pepper.get_secret_value()
        )
        self._overloaded = answers.overloaded(settings.retry_after_s)
        self._overloaded_unread = answers.overloaded(settings.retry_after_s, close=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will answer one request; the ASGI entry."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        if scope["method"] != "POST":
            answer = answers.METHOD
        elif self._requests >= self._settings.max_inflight_requests:
            answer = self._overloaded_unread
        else:
            self._requests += 1
            try:
                answer = await self._receive(scope, receive)
            except ClientGone:
                return
            finally:
                self._requests -= 1
        self._counted(answer.outcome).inc()
        LATENCY.observe(time.perf_counter() - started)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _counted(self, outcome: str) -> Counter:
        """The outcome's counter; ``labels()`` takes a lock and builds a key each time."""
        found = self._counters.get(outcome)
        if found is None:
            found = self._counters[outcome] = REQUESTS.labels(outcome)
        return found

    async def aclose(self) -> None:
        """This will finish the commits under way and write down the counts."""
        await self._commits.drain()
        await self._refusals.aclose()

    async def _receive(self, scope: Scope, receive: Receive) -> Answer:
        public_id = scope["path"][len(PREFIX) :]
        try:
            source = self.sources.peek(public_id) or await self.sources.find(public_id)
        except Unavailable:
            return self._overloaded_unread
        if self._bytes > self._settings.max_inflight_bytes or (
            source is not None and not self._commits.has_room(source.tenant_id)
        ):
            return self._overloaded_unread
        cap = source.max_body_bytes if source is not None else self._nobodys_caps.of(public_id)
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if _declared_length(headers) > cap:
            return self._too_large(source)
        try:
            body = await read_body(
                receive, cap_bytes=cap, timeout_s=self._settings.body_timeout_s, arriving=self._arriving
            )
        except TooLarge:
            return self._too_large(source)
        except (TimeoutError, Crowded):
            return self._overloaded_unread
        self._bytes += len(body)
        try:
            return await self._judge(source, scope, body)
        finally:
            self._bytes -= len(body)

    async def _judge(self, source: KnownSource | None, scope: Scope, body: bytes) -> Answer:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        path = raw_path.split(b"?", 1)[0].decode("latin-1")
        request = SignedRequest("POST", path, scope["query_string"], scope["headers"], body)
        if source is None:
            dummy_verify(request)
            REFUSED.labels("unknown_source").inc()
            return answers.UNAUTHORISED
        verdict = verify(source.profile, request, source.secrets, self._clock.now())
        if isinstance(verdict, Refused):
            REFUSED.labels(verdict.reason.value).inc()
            self._note(source, verdict.reason.value)
            return answers.UNAUTHORISED
        if verdict.challenge is not None:
            return answers.challenge(verdict.challenge)
        if source.state != SourceState.ACTIVE.value:
            self._note(source, source.state)
            return answers.GONE if source.state == SourceState.DELETED.value else self._overloaded
        return await self._take(source, verdict, request)

    async def _take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """Everything after the sender has proved who it is."""
        content_type, encoding, traceparent = _wanted(request.headers)
        if not accepts_type(content_type, source.profile.limits.content_types):
            self._note(source, "content_type")
            return answers.MEDIA_TYPE
        body = self._decoded(source, request.body, encoding)
        if isinstance(body, Answer):
            return body
        root = unrecorded_root()
        intake = self._intake(source, verdict, request, body, root)
        try:
            if root is not None:
                stored = await self._commits.submit(source.tenant_id, intake)
            else:
                stored = await self._store_traced(source.tenant_id, intake, traceparent)
        except Unavailable:
            return self._overloaded
        if intake.reason:
            self._note(source, intake.reason)
            return answers.not_text(stored.receipt_id)
        return answers.accepted(source.profile.responses.ok, stored.receipt_id, duplicate=stored.duplicate)

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
            return self._too_large(source)
        except ValueError:
            self._note(source, "content_encoding")
            return answers.BAD_ENCODING

    def _intake(
        self, source: KnownSource, verdict: Verified, request: SignedRequest, body: bytes, traceparent: str | None
    ) -> Intake:
        window = source.replay_window_s
        return Intake(
            id=new_id(),
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
            reason=None if _is_utf8(body) else "body.not_utf8",
        )

    async def _write(self, tenant_id: TenantId, batch: Sequence[Intake]) -> list[Stored]:
        async with tenant_session(self._database, tenant_id) as session:
            await failpoint("ingest.before_insert")
            stored = await batches.store_batch(session, batch, settings=self._settings)
            await failpoint("ingest.after_insert")
        await failpoint("ingest.after_commit")
        return stored

    def _too_large(self, source: KnownSource | None) -> Answer:
        if source is not None:
            self._note(source, "too_large")
        return answers.TOO_LARGE

    def _note(self, source: KnownSource, reason: str) -> None:
        self._refusals.note(source.tenant_id, source.source_id, reason)


def _declared_length(headers: Sequence[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0


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
