"""Who is let in now: limits are held in this process's memory, and a request over one costs no query.

Only what was verified is counted, so nobody who merely knows an address can use up its owner's share. What has to be
asked (limits that were set, backlogs, how many processes share a rate) is asked off the requests' path, for all busy
tenants in one call; while the database or Redis is away, what was known holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog
from redis.exceptions import RedisError

from app.core.errors import Unavailable
from app.core.ids import SourceId, TenantId
from app.core.resources import Resources
from app.db.engine import Database
from app.db.system import system_call
from app.ingest.known_sources import KnownSource
from app.ingest.rules.limits import Bucket, Limited, Limits, share_of
from app.kv.peers import Peers
from app.observability.metrics import counter, gauge
from app.settings import Settings
from app.settings.limits import LimitSettings

log = structlog.get_logger(__name__)

LIMITED = counter(
    "tocsin_ingest_limited_total", "Requests turned away because their tenant or source was over a limit.", ("reason",)
)
SHARES = gauge("tocsin_ingest_limit_shares", "API processes among which this one takes the rates to be divided.", ())

_READ = (
    "select tenant_id, source_id, cast(limits as text), alerts, backlog"
    " from tocsin_private.read_intake_limits($1::uuid[], $2::integer[])"
)
_RECOUNT_S = 3.0


@dataclass(slots=True)
class _Gate:
    """One source, or a whole tenant: what it may do, and what it has left of it."""

    limits: Limits
    deliveries: Bucket
    bytes: Bucket
    too_many_alerts: bool = False

    def is_open(self, now: float) -> bool:
        return not self.too_many_alerts and self.deliveries.has_room(now) and self.bytes.has_room(now)

    def take(self, size_bytes: int) -> None:
        self.deliveries.take(1.0)
        self.bytes.take(size_bytes)


@dataclass(slots=True)
class _Tenant:
    """A tenant's gate with those of its sources.

    Attributes:
        taken: Deliveries since the backlog was counted.
        seen_at: Of its last request.
    """

    gate: _Gate
    sources: dict[SourceId, _Gate] = field(default_factory=dict)
    own: dict[SourceId, Limits] = field(default_factory=dict)
    backlog: int | None = None
    backlog_full: bool = False
    counted_at: float = 0.0
    taken: int = 0
    seen_at: float = 0.0


class Admission:
    """The gates of one process.

    Args:
        resources: For the database, Redis and the settings.
        ticks: Seconds on a clock that never goes back.
        kind: Among which processes the rates are divided: an idle mail listener must not halve what HTTP may take.

    Attributes:
        shares: Among how many processes the rates are divided now.
        ticks: As given.
    """

    def __init__(
        self, resources: Resources, *, ticks: Callable[[], float] = time.monotonic, kind: str = "intake"
    ) -> None:
        self._settings: LimitSettings = resources.get(Settings).limits
        self._database = resources.get(Database)
        self._peers = Peers.of(resources, kind=kind)
        self.ticks = ticks
        self.shares = self._settings.api_processes
        self._tenants: dict[TenantId, _Tenant] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        of_tenant, of_source = tenant_defaults(self._settings), source_defaults(self._settings)
        self._defaults, self._source_defaults = of_tenant, of_source

    def refusal(self, source: KnownSource) -> Limited | None:
        """This will say why a request of the source is not to be taken now, or None; it counts nothing."""
        tenant = self._tenants.get(source.tenant_id)
        if tenant is None:
            return None
        now = self.ticks()
        tenant.seen_at = now
        gate = tenant.sources.get(source.source_id)
        if not tenant.backlog_full and tenant.gate.is_open(now) and (gate is None or gate.is_open(now)):
            return None
        # Or else a gate that was shut before the last look would stay so.
        self._look_again()
        return Limited.BACKLOG if tenant.backlog_full else Limited.RATE

    def took(self, source: KnownSource, size_bytes: int) -> None:
        """This will count a verified request that goes on to be stored."""
        tenant = self._tenants.get(source.tenant_id) or self._meet(source.tenant_id)
        gate = tenant.sources.get(source.source_id) or self._meet_source(tenant, source.source_id)
        tenant.gate.take(size_bytes)
        gate.take(size_bytes)
        tenant.taken += 1
        self._look_again()

    async def refresh(self) -> None:
        """This will ask once for everything that the gates do not know themselves."""
        self.shares = max(self._settings.api_processes, await self._count_peers())
        SHARES.set(self.shares)
        self._forget_idle()
        asked = list(self._tenants)
        caps = [self._cap(tenant) for tenant in self._tenants.values()]
        try:
            rows = await system_call(self._database, _READ, asked, caps, reason="ingest.read_limits")
        except (Unavailable, OSError) as error:
            log.warning("ingest.limits_not_read", error=type(error).__name__)
            return
        self._apply(rows)

    async def aclose(self) -> None:
        """This will stop asking, once what was asked is answered: a connection given up half-way would be left behind."""
        self._closing.set()
        if self._refreshing is not None:
            await asyncio.gather(self._refreshing, return_exceptions=True)
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._settings.refresh_s):
                    await self._peers.leave()

    def _look_again(self) -> None:
        if (self._refreshing is None or self._refreshing.done()) and not self._closing.is_set():
            self._refreshing = asyncio.get_running_loop().create_task(self._keep_fresh())

    def _meet(self, tenant_id: TenantId) -> _Tenant:
        while len(self._tenants) >= self._settings.tenants_in_memory:
            self._tenants.pop(next(iter(self._tenants)))
        now = self.ticks()
        tenant = self._tenants[tenant_id] = _Tenant(gate=self._gate(self._defaults, now), seen_at=now)
        return tenant

    def _meet_source(self, tenant: _Tenant, source_id: SourceId) -> _Gate:
        limits = tenant.own.get(source_id, self._source_defaults)
        gate = tenant.sources[source_id] = self._gate(limits, self.ticks())
        return gate

    def _gate(self, limits: Limits, now: float) -> _Gate:
        share, burst_s = share_of(limits, self.shares), self._settings.burst_s
        return _Gate(
            limits,
            Bucket(share.deliveries_per_s, burst_s=burst_s, now=now),
            Bucket(share.bytes_per_s, burst_s=burst_s, now=now),
        )

    def _cap(self, tenant: _Tenant) -> int | None:
        """How far the backlog is to be counted: only where what came since could have filled it, as a count reads it all."""
        limit = tenant.gate.limits.backlog
        if limit is None:
            return None
        if tenant.backlog_full:
            return limit + 1 if self.ticks() - tenant.counted_at >= _RECOUNT_S else None
        could_be_full = tenant.backlog is None or tenant.backlog + tenant.taken * self.shares >= limit
        return limit + 1 if could_be_full else None

    def _apply(self, rows: Any) -> None:
        now = self.ticks()
        named: set[tuple[TenantId, UUID]] = set()
        for tenant_id, source_id, stored, alerts, backlog in rows:
            tenant = self._tenants.get(tenant_id)
            if tenant is None:
                continue
            found = orjson.loads(stored)
            if source_id is None:
                self._set(tenant.gate, Limits.of(found, otherwise=self._defaults), alerts, now)
                _count_backlog(tenant, backlog, now)
                tenant.own.clear()
            else:
                limits = Limits.of(found, otherwise=self._source_defaults)
                tenant.own[source_id] = limits
                gate = tenant.sources.get(source_id) or self._meet_source(tenant, source_id)
                self._set(gate, limits, alerts, now)
                named.add((tenant_id, source_id))
        for tenant_id, tenant in self._tenants.items():
            for source, gate in tenant.sources.items():
                if (tenant_id, source) not in named:
                    self._set(gate, self._source_defaults, 0, now)

    def _set(self, gate: _Gate, limits: Limits, alerts: int, now: float) -> None:
        gate.limits = limits
        share, burst_s = share_of(limits, self.shares), self._settings.burst_s
        gate.deliveries.resize(share.deliveries_per_s, burst_s=burst_s, now=now)
        gate.bytes.resize(share.bytes_per_s, burst_s=burst_s, now=now)
        gate.too_many_alerts = limits.alerts_per_min is not None and alerts > limits.alerts_per_min

    def _forget_idle(self) -> None:
        """Forget tenants that sent nothing for so long that their buckets are full again."""
        before = self.ticks() - max(60.0, 2 * self._settings.burst_s)
        for tenant_id in [key for key, tenant in self._tenants.items() if tenant.seen_at < before]:
            del self._tenants[tenant_id]

    async def _count_peers(self) -> int:
        try:
            async with asyncio.timeout(self._settings.refresh_s):
                return await self._peers.count()
        except (RedisError, OSError, TimeoutError) as error:
            # The share that was known last: more processes than that are no more likely now than before.
            log.info("ingest.peers_unknown", error=type(error).__name__)
            return self.shares

    async def _keep_fresh(self) -> None:
        while self._tenants and not self._closing.is_set():
            await self.refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._settings.refresh_s)


def _count_backlog(tenant: _Tenant, backlog: int | None, now: float) -> None:
    if backlog is None:
        return
    limit = tenant.gate.limits.backlog
    tenant.backlog, tenant.taken, tenant.counted_at = backlog, 0, now
    tenant.backlog_full = limit is not None and backlog > limit


def tenant_defaults(settings: LimitSettings) -> Limits:
    """This will return what a tenant may send unless an operator says otherwise."""
    return Limits(
        deliveries_per_s=settings.tenant_deliveries_per_s or None,
        bytes_per_s=settings.tenant_bytes_per_s or None,
        alerts_per_min=settings.tenant_alerts_per_min or None,
        backlog=settings.tenant_backlog or None,
    )


def source_defaults(settings: LimitSettings) -> Limits:
    """This will return what a source may send unless its tenant says otherwise; its tenant's limit holds besides."""
    return Limits(
        deliveries_per_s=settings.source_deliveries_per_s or None,
        bytes_per_s=settings.source_bytes_per_s or None,
        alerts_per_min=settings.source_alerts_per_min or None,
    )
