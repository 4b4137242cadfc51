"""The process's memory of sources: who they are and what their requests must prove.

Kept for seconds, in this process only; nothing of a tenant goes to Redis. A source that changes is seen everywhere
after the TTL. While the database does not answer, what was known is used a little longer: a request that verifies
then still waits for its commit, so nothing is taken that is not stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import TocsinError, Unavailable
from app.core.ids import SourceId, TenantId
from app.db.engine import Database
from app.db.system import system_session
from app.ingest.rules.requests import HeaderFilter, secret_context, shard_of
from app.ingest.sources import all_sources
from app.net.keyring import KeyRing
from app.net.signing import CompiledProfile, Secret, Strength, load_secret, profile_of, shipped_profiles
from app.settings.ingest import IngestSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

PUBLIC_ID = re.compile(r"[0-9a-z]{26}")
_FIND = text("select * from tocsin_private.find_source(:public_id)")


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source as the intake route needs it."""

    tenant_id: TenantId
    source_id: SourceId
    kind: str
    state: str
    profile: CompiledProfile
    secrets: tuple[Secret, ...]
    max_body_bytes: int
    content_types: tuple[str, ...]
    shard: int
    replay_window_s: float | None
    headers: HeaderFilter
    id_headers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    source: KnownSource | None
    fresh_until: float
    usable_until: float


class KnownSources:
    """Finds sources by the public id in the URL; ``None`` is remembered too, both in bounded number."""

    def __init__(
        self, *, database: Database, keyring: KeyRing, settings: IngestSettings, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._settings = settings
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._looking: dict[str, asyncio.Task[KnownSource | None]] = {}
        self._slots = asyncio.Semaphore(settings.lookups_at_once)

    def peek(self, public_id: str) -> KnownSource | None:
        """This will return a source that is known and fresh, without waiting; the hot path."""
        entry = self._known.get(public_id)
        return entry.source if entry is not None and entry.fresh_until > self._monotonic() else None

    async def find(self, public_id: str) -> KnownSource | None:
        """This will return the source, or None where there is none.

        Raises:
            Unavailable: It is not in memory and the database does not answer.
        """
        now = self._monotonic()
        if PUBLIC_ID.fullmatch(public_id) is None or self._unknown.get(public_id, 0.0) > now:
            return None
        task = self._looking.get(public_id)
        if task is None:
            task = self._looking[public_id] = asyncio.get_running_loop().create_task(self._look(public_id))
            task.add_done_callback(lambda done: self._looked(public_id, done))
        try:
            # Shielded: one sender who hangs up must not fail the others that wait for the same source.
            return await asyncio.wait_for(asyncio.shield(task), self._settings.commit_wait_s)
        except (TimeoutError, Unavailable, SQLAlchemyError, OSError) as error:
            entry = self._known.get(public_id)
            if entry is not None and entry.usable_until > self._monotonic():
                return entry.source
            raise Unavailable("the source could not be looked up", retry_after_s=1) from error

    def _looked(self, public_id: str, task: asyncio.Task[KnownSource | None]) -> None:
        self._looking.pop(public_id, None)
        if not task.cancelled():
            task.exception()  # retrieved, also where everybody who waited has gone

    async def _look(self, public_id: str) -> KnownSource | None:
        async with self._slots, system_session(self._database, reason="ingest.find_source") as session:
            row = (await session.execute(_FIND, {"public_id": public_id})).one_or_none()
        source = self._build(row) if row is not None else None
        now = self._monotonic()
        if source is None:
            self._known.pop(public_id, None)
            _remember(
                self._unknown, public_id, now + self._settings.unknown_cache_ttl_s, self._settings.unknown_cache_size
            )
        else:
            fresh_until = now + self._settings.source_cache_ttl_s
            entry = _Entry(source, fresh_until, fresh_until + self._settings.source_cache_stale_s)
            _remember(self._known, public_id, entry, self._settings.source_cache_size)
        return source

    def _build(self, row: Row[Any]) -> KnownSource | None:
        try:
            profile = profile_of(row.profile, row._mapping.get("custom_profile"))
        except TocsinError as error:
            # Fails closed: a source whose profile is gone verifies nothing.
            log.error("ingest.profile_missing", source_id=str(row.source_id), error=error.detail)
            return None
        kind = all_sources().get(row.kind)
        limits = profile.limits
        window = row.replay_window_s
        if window is None and kind is not None:
            window = kind.replay_window_s
        return KnownSource(
            tenant_id=TenantId(row.tenant_id),
            source_id=SourceId(row.source_id),
            kind=row.kind,
            state=row.state,
            profile=profile,
            secrets=self._secrets(row, profile),
            max_body_bytes=max(limits.max_body_bytes, (kind.max_body_bytes or 0) if kind is not None else 0),
            content_types=limits.content_types + (kind.content_types if kind is not None else ()),
            shard=shard_of(row.source_id, self._settings.shards),
            # A signed time or id says it better than a sender's habits.
            replay_window_s=window if profile.strength is not Strength.SIGNED_FRESH else None,
            headers=HeaderFilter({*_credential_headers(profile), self._settings.client_cert_header.lower()}),
            id_headers=_id_headers(profile),
        )

    def _secrets(self, row: Row[Any], profile: CompiledProfile) -> tuple[Secret, ...]:
        context = secret_context(row.tenant_id, row.source_id)
        loaded = []
        for secret_id, ciphertext, expires_at in zip(row.secret_ids, row.ciphertexts, row.expiries, strict=True):
            try:
                stored = self._keyring.decrypt(ciphertext, context=context)
                loaded.append(load_secret(profile, stored, secret_id=str(secret_id), expires_at=expires_at))
            except TocsinError as error:
                # Without its secret the source refuses everything; it never skips the check (F49).
                log.error("ingest.secret_unreadable", source_id=str(row.source_id), error=error.code)
        return tuple(loaded)


class NobodysCaps:
    """How large a body may be for a source that does not exist, and how much its refusal costs.

    Sources differ in it, so one cap for every id without a source would tell which ids have one: a large unsigned body is
    answered 413 here and 401 there. So an unknown id has one of the caps that sources have, always the same one.
    """

    def __init__(self, smallest_bytes: int, *, key: str) -> None:
        of_profiles = {profile.limits.max_body_bytes for profile in shipped_profiles().values()}
        of_kinds = {kind.max_body_bytes for kind in all_sources().values() if kind.max_body_bytes is not None}
        self._caps = sorted({smallest_bytes} | {cap for cap in of_profiles | of_kinds if cap > smallest_bytes})
        self._key = hashlib.sha256(b"tocsin caps of nobody\x00" + key.encode()).digest()

    def of(self, public_id: str) -> int:
        """This will return the cap of an id that names no source, by a keyed digest of the id."""
        return self._caps[self._digest(public_id)[0] % len(self._caps)]

    def is_on_curve(self, public_id: str) -> bool:
        """This will say whether a refusal under this id costs what an Ed25519 source's does: one id in eight."""
        return self._digest(public_id)[1] % 8 == 0

    def _digest(self, public_id: str) -> bytes:
        return hmac.digest(self._key, public_id.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _credential_headers(profile: CompiledProfile) -> set[str]:
    """Which headers the profile reads a credential from."""
    parts = (profile.profile.signature, profile.profile.token)
    return {name for part in parts if part is not None for name in (part.header, *part.aliases)}


def _id_headers(profile: CompiledProfile) -> tuple[str, ...]:
    """Which headers a sender of the profile names its deliveries in."""
    spec = profile.profile.delivery_id
    return (spec.header, *spec.aliases) if spec is not None and spec.header is not None else ()


def _remember(memory: OrderedDict[str, T], key: str, value: T, limit: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > limit:
        memory.popitem(last=False)
