"""``/in/{source}``: the one route that must be fast, as a bare ASGI application in front of FastAPI.

Order: cap while streaming, source (from memory), signature over the raw bytes, freshness, then the door that the rest
of the path names; the plain one stores a delivery. Whatever is wrong with the authentication, the source's very
existence included, gives one and the same 401, and so does a door that this source does not have.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping, Sequence
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.resources import Resources
from app.db.engine import Database
from app.ingest import answers
from app.ingest.admission import LIMITED, Admission
from app.ingest.answers import Answer, Send
from app.ingest.bodies import Arriving, ClientGone, Crowded, Receive, TooLarge, read_body
from app.ingest.confirmations import ask_for_confirmation
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.doors import Door
from app.ingest.dropin.doors import dropin_doors
from app.ingest.heartbeats.door import HeartbeatDoor
from app.ingest.heartbeats.gate import BeatGate
from app.ingest.known_sources import KnownSource, KnownSources, NobodysCaps
from app.ingest.openapi import openapi_path_item
from app.ingest.proofs import Proofs, keys_of_process
from app.ingest.refusals import RefusalCounter, Seen
from app.ingest.rules.limits import Limited
from app.ingest.schemas import SourceState
from app.ingest.turned_away import TurnedAway
from app.net.keyring import KeyRing
from app.net.signing import Kind, RefusalReason, Refused, SignedRequest, Strength, Verified, dummy_verify, verify
from app.net.signing.remote_keys import KeysUnavailable, RemoteKeys
from app.observability.metrics import counter, histogram
from app.settings import Settings

log = structlog.get_logger(__name__)

REQUESTS = counter(
    "tocsin_ingest_requests_total", "Requests to the intake route, by what they were answered.", ("outcome",)
)
REFUSED = counter("tocsin_ingest_refused_total", "Requests that proved nothing, by reason.", ("reason",))
VERIFIED = counter(
    "tocsin_ingest_verified_total",
    "Requests that were verified and taken, by what the sender's proof is worth, strongest first: signed_fresh, signed, "
    "mtls_jwt, token, url_secret, none.",
    ("strength",),
)
LATENCY = histogram(
    "tocsin_ingest_request_seconds", "Seconds from the first byte to the answer of the intake route.", ()
)

__all__ = ["IngestApp", "openapi_path_item"]

PREFIX = "/in/"
# Over a limit, a body up to this size is read and its sender proved before anything is said: only then is a limit nobody
# else's business. It came with its headers and costs a signature; what is larger is turned away unread and unproved, as a
# flood must cost less than what it asks for.
_PROVED_BYTES = 16_384
Scope = MutableMapping[str, Any]


class IngestApp:
    """The intake route of one process. Mount it in front of everything for paths that start with ``/in/``."""

    def __init__(self, resources: Resources, admission: Admission | None = None) -> None:
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
        self._refusals = RefusalCounter(database=self._database, clock=self._clock, flush_s=settings.refusal_flush_s)
        limits = resources.get(Settings).limits
        self._admission = admission or Admission(resources)
        self._deliveries = DeliveryDoor(resources, self._refusals, self._admission)
        beats = HeartbeatDoor(resources, self._refusals, BeatGate(limits, self._admission))
        # A key that ends with a slash stands for everything beneath it.
        self._doors: dict[str, Door] = {"": self._deliveries, "heartbeat": beats, "heartbeat/": beats}
        self._doors |= dropin_doors(resources, self._deliveries)
        self._turned_away = TurnedAway(limits)
        self._counters: dict[str, Counter] = {}
        self._verified = {strength: VERIFIED.labels(strength.value) for strength in Strength}
        self._origin = settings.public_url.rstrip("/")
        self._proofs = Proofs(keys_of_process(resources, RemoteKeys), settings)
        self._requests = 0
        self._bytes = 0
        self._arriving = Arriving(settings.max_inflight_bytes)
        self._nobodys_caps = NobodysCaps(
            settings.unknown_source_max_body_bytes, key=resources.get(Settings).security.token_pepper.get_secret_value()
        )
        self._overloaded = answers.overloaded(settings.retry_after_s)
        self._overloaded_unread = answers.overloaded(settings.retry_after_s, close=True)
        resources.on_close(self.aclose)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will serve one request; the ASGI entry."""
        if scope["type"] != "http":
            return
        try:
            answer = await self.answer(scope, receive)
        except ClientGone:
            return
        await answers.say(answer, receive, send)

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """This will judge one request, take what it brings, and return what is to be said.

        Raises:
            ClientGone: There is nobody left to hear it.
        """
        started = time.perf_counter()
        public_id, slash, door_path = scope["path"][len(PREFIX) :].partition("/")
        door = self._door_of(door_path) if door_path or not slash else None
        if scope["method"] not in (door or self._deliveries).methods:
            answer = answers.other_method(scope["method"], scope["headers"])
        elif self._is_full():
            answer = self._overloaded_unread
        else:
            self._requests += 1
            try:
                answer = await self._receive(public_id, door, scope, receive)
            finally:
                self._requests -= 1
        self._counted(answer.outcome).inc()
        LATENCY.observe(time.perf_counter() - started)
        return answer

    def _door_of(self, path: str) -> Door | None:
        return self._doors.get(path) or self._doors.get(path.partition("/")[0] + "/")

    def _is_full(self) -> bool:
        return self._requests >= self._settings.max_inflight_requests or self._bytes > self._settings.max_inflight_bytes

    def _counted(self, outcome: str) -> Counter:
        """The outcome's counter; ``labels()`` takes a lock and builds a key each time."""
        found = self._counters.get(outcome)
        if found is None:
            found = self._counters[outcome] = REQUESTS.labels(outcome)
        return found

    async def aclose(self) -> None:
        """This will finish the commits under way and write down the counts."""
        await self._deliveries.drain()
        await self._proofs.aclose()
        await self._admission.aclose()
        await self._refusals.aclose()

    async def _receive(self, public_id: str, door: Door | None, scope: Scope, receive: Receive) -> Answer:
        try:
            source = self.sources.peek(public_id) or await self.sources.find(public_id)
        except Unavailable:
            return self._overloaded_unread
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        size = _declared_size(headers)
        over = (door or self._deliveries).gate.refusal(source) if source is not None else None
        if source is not None and over is not None and (size is None or size > _PROVED_BYTES):
            return self._turn_away(source, over, unread=True)
        cap = source.max_body_bytes if source is not None else self._nobodys_caps.of(public_id)
        if size is not None and size > cap:
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
            return await self._judge(public_id, source, door, scope, body, over)
        finally:
            self._bytes -= len(body)

    async def _judge(
        self,
        public_id: str,
        source: KnownSource | None,
        door: Door | None,
        scope: Scope,
        body: bytes,
        over: Limited | None,
    ) -> Answer:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        path = raw_path.split(b"?", 1)[0].decode("latin-1")
        request = SignedRequest(scope["method"], path, scope["query_string"], scope["headers"], body, self._origin)
        if source is None or door is None or not door.serves(source):
            known = source.profile.kind is Kind.ED25519 if source is not None else None
            dummy_verify(request, on_curve=self._nobodys_caps.is_on_curve(public_id) if known is None else known)
            REFUSED.labels("unknown_source").inc()
            return answers.UNAUTHORISED
        try:
            if source.profile.is_local:
                verdict = verify(source.profile, request, source.secrets, self._clock.now())
            else:
                verdict = await self._proofs.verify(source, request, scope, self._clock.now())
        except KeysUnavailable:
            self._note(source, "keys_unavailable", request)
            return self._overloaded
        if isinstance(verdict, Refused):
            reason = _reason_of(source, verdict)
            REFUSED.labels(reason).inc()
            self._note(source, reason, request)
            return answers.UNAUTHORISED
        return await self._take(source, door, verdict, request, over)

    async def _take(
        self, source: KnownSource, door: Door, verdict: Verified, request: SignedRequest, over: Limited | None
    ) -> Answer:
        """Act on a request whose sender is who it says, unless the source is over a limit."""
        if verdict.challenge is not None:
            return answers.challenge(verdict.challenge)
        if source.state != SourceState.ACTIVE.value:
            self._note(source, source.state)
            return answers.GONE if source.state == SourceState.DELETED.value else self._overloaded
        if over is not None:
            return self._turn_away(source, over, unread=False)
        if verdict.confirm_url is not None:
            return await self._confirm(source, verdict.confirm_url)
        door.gate.took(source, len(request.body))
        answer = await door.take(source, verdict, request)
        if answer.status < 300:
            self._verified[verdict.strength].inc()
        return answer

    async def _confirm(self, source: KnownSource, url: str) -> Answer:
        try:
            await ask_for_confirmation(self._database, source, url)
        except (Unavailable, SQLAlchemyError, OSError):
            return self._overloaded
        return answers.CONFIRMING

    def _turn_away(self, source: KnownSource, reason: Limited, *, unread: bool) -> Answer:
        LIMITED.labels(reason.value).inc()
        self._note(source, reason.value)
        return self._turned_away.answer(reason, status=source.profile.responses.overload, unread=unread)

    def _too_large(self, source: KnownSource | None) -> Answer:
        if source is not None:
            self._note(source, "too_large")
        return answers.TOO_LARGE

    def _note(self, source: KnownSource, reason: str, request: SignedRequest | None = None) -> None:
        seen = Seen(len(request.body), request.headers, source.id_headers) if request is not None else None
        self._refusals.note(source.tenant_id, source.source_id, reason, seen=seen)


def _reason_of(source: KnownSource, refused: Refused) -> str:
    """Senders of basic credentials may keep them back until they are asked (RFC 9110, section 11.6.1): no failure yet."""
    if refused.reason is RefusalReason.MISSING and source.profile.kind is Kind.BASIC:
        return "challenged"
    return refused.reason.value


def _declared_size(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Bytes of the body, as far as the headers say; None where it comes in chunks."""
    size: int | None = 0
    for name, value in headers:
        if name == b"content-length":
            size = int(value) if value.isdigit() and len(value) < 20 else None
        elif name == b"transfer-encoding":
            return None
    return size
