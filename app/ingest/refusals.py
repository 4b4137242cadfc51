"""Counting refused requests for their tenant's eyes, without letting a flood write.

A refusal costs an increment in memory; counts are written at most once in a while and per source, reason and hour, and
beside them a few examples: when, why, how large, and which delivery it claimed to be. Never a stranger's bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.ids import SourceId, TenantId
from app.db.engine import Database
from app.db.tenancy import tenant_session
from app.ingest.repository.intake import count_refusals
from app.ingest.repository.refusals import keep_examples
from app.ingest.schemas import RefusalExample

log = structlog.get_logger(__name__)

_KEYS_MAX = 10_000
_EXAMPLES_OF_A_SOURCE = 5
_EXAMPLES_MAX = 500
_CLAIMED_ID = re.compile(rb"[!-~]{1,100}")

Headers = Sequence[tuple[bytes, bytes]]


class Seen(NamedTuple):
    """What may be said of a refused request. Its headers are looked at when it is written down, not while it is answered."""

    size_bytes: int
    headers: Headers
    id_headers: Sequence[str]


class _Noted(NamedTuple):
    at: datetime
    source_id: SourceId
    reason: str
    seen: Seen


class RefusalCounter:
    """Counts per tenant, source and reason; bounded, flushed in the background."""

    def __init__(self, *, database: Database, clock: Clock, flush_s: float) -> None:
        self._database = database
        self._clock = clock
        self._flush_s = flush_s
        self._counts: dict[tuple[TenantId, SourceId, str], int] = {}
        self._examples: dict[TenantId, list[_Noted]] = {}
        self._kept = 0
        self._flushing: asyncio.Task[None] | None = None

    def note(self, tenant_id: TenantId, source_id: SourceId, reason: str, *, seen: Seen | None = None) -> None:
        """This will count one refusal; beyond ten thousand different ones between two flushes they are dropped."""
        key = (tenant_id, source_id, reason)
        if seen is not None and self._kept < _EXAMPLES_MAX and self._counts.get(key, 0) < _EXAMPLES_OF_A_SOURCE:
            self._kept += 1
            noted = _Noted(self._clock.now(), source_id, reason, seen)
            self._examples.setdefault(tenant_id, []).append(noted)
        if key in self._counts or len(self._counts) < _KEYS_MAX:
            self._counts[key] = self._counts.get(key, 0) + 1
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_later())

    async def flush(self) -> bool:
        """This will write down what was counted, and say whether it could; what cannot be written is kept."""
        counts, self._counts = self._counts, {}
        examples, self._examples, self._kept = self._examples, {}, 0
        by_tenant: dict[TenantId, list[tuple[UUID, str, int]]] = defaultdict(list)
        is_written = True
        for (tenant_id, source_id, reason), count in counts.items():
            by_tenant[tenant_id].append((source_id, reason, count))
        for tenant_id, refusals in by_tenant.items():
            try:
                async with tenant_session(self._database, tenant_id) as session:
                    await count_refusals(session, refusals, now=self._clock.now())
                    await keep_examples(session, [_example(noted) for noted in examples.get(tenant_id, ())])
            except (SQLAlchemyError, Unavailable, OSError) as error:
                is_written = False
                log.warning("ingest.refusals_not_written", error=type(error).__name__)
                for unwritten, reason, count in refusals:
                    key = (tenant_id, SourceId(unwritten), reason)
                    self._counts[key] = self._counts.get(key, 0) + count
        return is_written

    async def aclose(self) -> None:
        """This will stop the background flush and write what is left."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self.flush()

    async def _flush_later(self) -> None:
        # Again for what was noted while it was written; after a failure the next refusal begins anew.
        while self._counts:
            await asyncio.sleep(self._flush_s)
            if not await self.flush():
                return


def _example(noted: _Noted) -> RefusalExample:
    return RefusalExample(
        source_id=noted.source_id,
        at=noted.at,
        reason=noted.reason,
        size_bytes=noted.seen.size_bytes,
        claimed_id=_claimed_id(noted.seen),
    )


def _claimed_id(seen: Seen) -> str | None:
    """This will return the id that the request gave itself, None where it is missing or odd."""
    names = frozenset(name.encode() for name in seen.id_headers)
    for name, value in seen.headers:
        if name in names and _CLAIMED_ID.fullmatch(value) is not None:
            return value.decode("ascii")
    return None
