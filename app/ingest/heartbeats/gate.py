"""How many beats a tenant may send: a rate of their own, so that a tenant that floods does not seem to have fallen silent."""

from __future__ import annotations

from app.core.ids import TenantId
from app.ingest.admission import Admission, tenant_defaults
from app.ingest.known_sources import KnownSource
from app.ingest.rules.limits import Bucket, Limited, share_of
from app.settings.limits import LimitSettings


class BeatGate:
    """One bucket for each tenant that beats, at the rate that tenants may deliver by default.

    Args:
        settings: The rate, and for how many tenants it is kept; who was met first is forgotten first.
        admission: Has the clock, and says among how many processes the rate is divided.
    """

    def __init__(self, settings: LimitSettings, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission
        self._limits = tenant_defaults(settings)
        self._buckets: dict[TenantId, Bucket] = {}

    def refusal(self, source: KnownSource) -> Limited | None:
        """This will say why no beat of the source's tenant is taken now, or None."""
        bucket = self._buckets.get(source.tenant_id)
        return None if bucket is None or bucket.has_room(self._admission.ticks()) else Limited.RATE

    def took(self, source: KnownSource, size_bytes: int) -> None:
        """This will count a verified beat, whatever it weighs."""
        rate, now = share_of(self._limits, self._admission.shares).deliveries_per_s, self._admission.ticks()
        bucket = self._buckets.get(source.tenant_id)
        if bucket is None:
            while len(self._buckets) >= self._settings.tenants_in_memory:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[source.tenant_id] = Bucket(rate, burst_s=self._settings.burst_s, now=now)
        bucket.resize(rate, burst_s=self._settings.burst_s, now=now)
        bucket.take(1.0)
