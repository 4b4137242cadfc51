"""The process's memory of sources: who they are and what their requests must prove.

Kept for seconds, in this process only; nothing of a tenant goes to Redis. A source that changes is seen everywhere
after the TTL. While the database does not answer, what was known is used a little longer: a request that verifies
then still waits for its commit, so nothing is taken that is not stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.engine import Row

from app.core.errors import TocsinError
from app.core.ids import SourceId, TenantId
from app.db.engine import Database
from app.db.system import system_session
from app.ingest.contract import AlertSource
from app.ingest.remembered import Remembered
from app.ingest.rules.requests import HeaderFilter, secret_context, shard_of
from app.ingest.sources import all_sources
from app.net.keyring import KeyRing
from app.net.signing import CompiledProfile, Secret, Strength, load_secret, profile_of, shipped_profiles
from app.settings.ingest import IngestSettings

log = structlog.get_logger(__name__)

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


class KnownSources:
    """Finds sources by the public id in the URL.

    Attributes:
        peek: Returns a source that is known and fresh, without waiting.
    """

    def __init__(
        self, *, database: Database, keyring: KeyRing, settings: IngestSettings, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._settings = settings
        self.memory = Remembered(self._look, settings=settings, ticks=monotonic)
        self.peek = self.memory.peek

    async def find(self, public_id: str) -> KnownSource | None:
        """This will return the source, or None where there is none.

        Raises:
            Unavailable: It is not in memory and the database does not answer.
        """
        return await self.memory.find(public_id) if PUBLIC_ID.fullmatch(public_id) is not None else None

    async def _look(self, public_id: str) -> KnownSource | None:
        async with system_session(self._database, reason="ingest.find_source") as session:
            row = (await session.execute(_FIND, {"public_id": public_id})).one_or_none()
        return self._build(row) if row is not None else None

    def _build(self, row: Row[Any]) -> KnownSource | None:
        try:
            profile = profile_of(row.profile, row._mapping.get("custom_profile"))
        except TocsinError as error:
            # Fails closed: a source whose profile is gone verifies nothing.
            log.error("ingest.profile_missing", source_id=str(row.source_id), error=error.detail)
            return None
        kind = all_sources().get(row.kind)
        limits = profile.limits
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
            replay_window_s=_replay_window(row.replay_window_s, kind, profile),
            headers=HeaderFilter({*_credential_headers(profile), self._settings.client_cert_header.lower()}),
            id_headers=_id_headers(profile),
        )

    def _secrets(self, row: Row[Any], profile: CompiledProfile) -> tuple[Secret, ...]:
        context = secret_context(row.tenant_id, row.source_id)
        loaded = []
        # The newest first: it is what senders use.
        for secret_id, ciphertext, expires_at in reversed(
            list(zip(row.secret_ids, row.ciphertexts, row.expiries, strict=True))
        ):
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


def _replay_window(own: float | None, kind: AlertSource | None, profile: CompiledProfile) -> float | None:
    """The source's own window or its kind's; none where a signed time or id says it better than a sender's habits."""
    if profile.strength is Strength.SIGNED_FRESH or profile.profile.keys_replay_by_id:
        return None
    return own if own is not None or kind is None else kind.replay_window_s


def _credential_headers(profile: CompiledProfile) -> set[str]:
    """Which headers the profile reads a credential from."""
    parts = (profile.profile.signature, profile.profile.token)
    return {name for part in parts if part is not None for name in (part.header, *part.aliases)}


def _id_headers(profile: CompiledProfile) -> tuple[str, ...]:
    """Which headers a sender of the profile names its deliveries in."""
    spec = profile.profile.delivery_id
    return (spec.header, *spec.aliases) if spec is not None and spec.header is not None else ()
