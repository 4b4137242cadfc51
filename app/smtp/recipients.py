"""Who may be written to: the address must name an email source and show its secret.

A wrong secret, a source of another kind and an address that is none cost the same work and get the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.ingest.admission import LIMITED
from app.ingest.known_sources import KnownSource, KnownSources
from app.ingest.refusals import RefusalCounter
from app.ingest.rules.limits import Limited
from app.ingest.schemas import SourceState
from app.net.signing import Kind, SignedRequest, Verified, dummy_verify, verify
from app.smtp.addresses import Claim, read_claim

KIND = "email"
_NOBODY = Claim("0" * 26, ("-", "-"), "-")


class Refusal(Enum):
    """Why a recipient is not taken."""

    UNKNOWN = "unknown"
    GONE = "gone"
    PAUSED = "paused"
    UNAVAILABLE = "unavailable"
    LIMITED = "limited"


class Recipients:
    """Judges addresses with the process's memory of sources."""

    def __init__(
        self,
        *,
        sources: KnownSources,
        refusals: RefusalCounter,
        clock: Clock,
        limited: Callable[[KnownSource], Limited | None],
    ) -> None:
        self._sources = sources
        self._limited = limited
        self._refusals = refusals
        self._clock = clock

    async def judge(self, address: str) -> tuple[KnownSource, str] | Refusal:
        """This will return the source that the address proves to know, with the secret as it was spelt."""
        claim = read_claim(address) or _NOBODY
        try:
            source = self._sources.peek(claim.public_id) or await self._sources.find(claim.public_id)
        except Unavailable:
            return Refusal.UNAVAILABLE
        proved = self._proves(source, claim)
        if source is None or not proved:
            return Refusal.UNKNOWN
        if source.state != SourceState.ACTIVE.value:
            self._refusals.note(source.tenant_id, source.source_id, source.state)
            return Refusal.GONE if source.state == SourceState.DELETED.value else Refusal.PAUSED
        limited = self._limited(source)
        if limited is None:
            return source, claim.spelt
        LIMITED.labels(limited.value).inc()
        self._refusals.note(source.tenant_id, source.source_id, limited.value)
        return Refusal.LIMITED

    def _proves(self, source: KnownSource | None, claim: Claim) -> bool:
        usable = source if source is not None and _takes_mail(source) else None
        proved = False
        # Every spelling is tried, also after one that fits: how long it takes tells nothing.
        for secret in claim.secrets:
            spec = usable.profile.profile.url_secret if usable is not None else None
            query = f"{spec.parameter if spec is not None else 'token'}={secret}".encode()
            request = SignedRequest("POST", f"/in/{claim.public_id}", query, (), b"")
            if usable is None:
                dummy_verify(request)
            else:
                verdict = verify(usable.profile, request, usable.secrets, self._clock.now())
                proved = isinstance(verdict, Verified) or proved
        if usable is not None and not proved:
            self._refusals.note(usable.tenant_id, usable.source_id, "mismatch")
        return proved


def _takes_mail(source: KnownSource) -> bool:
    return source.kind == KIND and source.profile.kind is Kind.URL_SECRET
