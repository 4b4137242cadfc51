"""Published keys of one process: fetched through the egress guard, kept, renewed, and never once per request.

An address is fetched by one task of a tenant at a time, however many requests wait for it, and not again for a while whatever
came of it: neither a stream of unknown key ids nor a key server that is down makes us a burden. While it is down, what was
known is used for a bounded time. What one tenant's hosts and documents use up is that tenant's own share (``shares.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog

from app.core.errors import TocsinError, Unavailable
from app.net.outbound import OutboundError, OutboundHttp
from app.net.signing.checks import CompiledProfile, Held, Wanted
from app.net.signing.key_sets import MAX_DOCUMENT_BYTES, KeySet, UnreadableKeys, read_document
from app.net.signing.shares import Kept, Shares
from app.net.signing.verdicts import Refused, Secret, SignedRequest, Verified
from app.observability.metrics import counter

log = structlog.get_logger(__name__)

FETCHES = counter(
    "tocsin_signing_key_fetches_total",
    "Documents with public keys that were fetched to verify senders, by kind and outcome.",
    ("document", "outcome"),
)

Fetch = Callable[[str], Awaitable[bytes]]

_FETCH_TIMEOUT_S: Final = 5.0
_FETCHES_AT_ONCE: Final = 32


class KeysUnavailable(Unavailable):
    """The keys that would tell are not to be had at the moment: the sender should come back."""

    code = "signing.keys_unavailable"
    title = "The sender's public keys cannot be fetched"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long what is kept holds, in seconds.

    Attributes:
        fresh_s: Used without asking again.
        stale_s: Used at all, while the server cannot be reached.
        pause_s: Between two fetches of one address.
        wait_s: That a request waits for a fetch.
    """

    fresh_s: float = 3600.0
    stale_s: float = 86_400.0
    pause_s: float = 60.0
    wait_s: float = 0.9


class RemoteKeys:
    """Finds published keys by their address; fetches, turns and memory are bounded for each tenant and in sum.

    Args:
        fetch: Returns the document or raises OutboundError.
        ticks: Seconds on a clock that never goes back.
    """

    def __init__(self, fetch: Fetch, *, ticks: Callable[[], float], patience: Patience | None = None) -> None:
        self._fetch = fetch
        self._ticks = ticks
        self._patience = patience or Patience()
        self._shares = Shares()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def verify(
        self,
        profile: CompiledProfile,
        request: SignedRequest,
        secrets: Sequence[Secret],
        now: datetime,
        *,
        tenant: Hashable,
    ) -> Verified | Refused:
        """This will verify a request with the keys that its profile wants.

        Args:
            tenant: Whose share of the fetches and of the memory it uses.

        Raises:
            KeysUnavailable: They cannot be fetched now.
        """
        if profile.remote is None:
            return profile.check(request, secrets, now)
        wanted = profile.remote.wants(request, secrets, now)
        held = await self.gather(wanted, tenant=tenant) if wanted else {}
        return profile.remote.judge(request, secrets, now, held)

    async def gather(self, wanted: Sequence[Wanted], *, tenant: Hashable = None) -> Held:
        """This will return the key sets at the wanted addresses.

        Args:
            tenant: Whose share it uses; None where there are no others.

        Raises:
            KeysUnavailable: Not one of them is there.
        """
        held = {want.url: keys for want in wanted if (keys := await self._find(want, tenant)) is not None}
        if not held:
            raise KeysUnavailable("the document with the public keys cannot be fetched")
        return held

    async def aclose(self) -> None:
        """This will give up what is being fetched."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find(self, want: Wanted, tenant: Hashable) -> KeySet | None:
        kept = self._shares.use(tenant, want.url)
        if kept is not None and want.key_id in kept.keys and self._age(kept) < self._patience.fresh_s:
            return kept.keys
        # Each tenant waits for a fetch of its own: another's of the same address may stand behind hosts that hang.
        task = self._shares.of(tenant).fetching.get(want.url) or self._begin(want, tenant, kept)
        if task is not None and not self._is_usable(kept, want):
            # Not awaited itself: one sender who hangs up must not take the keys from the others.
            await asyncio.wait({task}, timeout=self._patience.wait_s)
            kept = self._shares.use(tenant, want.url)
        return kept.keys if kept is not None and self._is_in_time(kept) else None

    def _age(self, kept: Kept) -> float:
        return self._ticks() - kept.fetched_at

    def _is_in_time(self, kept: Kept) -> bool:
        return self._age(kept) < self._patience.stale_s

    def _is_usable(self, kept: Kept | None, want: Wanted) -> bool:
        """What is outdated is used once more while it is renewed; an unknown key waits for the renewal."""
        return kept is not None and self._is_in_time(kept) and want.key_id in kept.keys

    def _begin(self, want: Wanted, tenant: Hashable, kept: Kept | None) -> asyncio.Task[None] | None:
        """This will start to fetch, unless the address was fetched too lately or the tenant's fetches are used up."""
        now, pause_s = self._ticks(), self._patience.pause_s
        share = self._shares.of(tenant)
        if share.has_asked(want.url, since=now - pause_s) or (kept is not None and self._age(kept) < pause_s):
            return None
        if not share.ask(want.url, now=now):
            FETCHES.labels(want.document.value, "too_many").inc()
            return None
        task = asyncio.get_running_loop().create_task(self._renew(want, tenant, share.slots, since=now))
        share.fetching[want.url] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: share.fetching.pop(want.url, None))
        return task

    async def _renew(self, want: Wanted, tenant: Hashable, turns: asyncio.Semaphore, *, since: float) -> None:
        try:
            async with turns, self._slots:
                known = self._shares.kept(want.url)
                if known is not None and known.fetched_at > since:
                    return  # another tenant's fetch has brought it while this one waited for its turn
                keys = read_document(want.document, await self._fetch(want.url))
        except (TocsinError, UnreadableKeys) as error:
            FETCHES.labels(want.document.value, "failed").inc()
            log.warning("signing.keys_not_fetched", host=urlsplit(want.url).netloc, error=str(error)[:200])
            return
        FETCHES.labels(want.document.value, "fetched").inc()
        self._shares.keep(tenant, want.url, keys, now=self._ticks())


def fetch_with(http: OutboundHttp) -> Fetch:
    """This will return the fetch of a process: public addresses or the operator's, no redirects, small answers."""

    async def fetch(url: str) -> bytes:
        answer = await http.request("GET", url, timeout_s=_FETCH_TIMEOUT_S, max_bytes=MAX_DOCUMENT_BYTES)
        if answer.status != 200:
            raise OutboundError(f"the answer has the status {answer.status}", sent=True)
        return answer.body

    return fetch
