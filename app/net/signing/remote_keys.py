"""Published keys of one process: fetched through the egress guard, kept, renewed, and never once per request.

An address is fetched by one task at a time, however many requests wait for it, and not again for a while whatever came of
it: neither a stream of unknown key ids nor a key server that is down makes us a burden. While it is down, what was known is
used for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog

from app.core.errors import TocsinError, Unavailable
from app.net.outbound import OutboundError, OutboundHttp
from app.net.signing.checks import CompiledProfile, Held, Wanted
from app.net.signing.key_sets import MAX_DOCUMENT_BYTES, Document, KeySet, UnreadableKeys, read_document
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
_MAX_DOCUMENTS: Final = 512
_MAX_ATTEMPTS_KEPT: Final = 4096
_FETCHES_AT_ONCE: Final = 4
_HOST_WINDOW_S: Final = 60.0
_HOST_FETCHES: Final = 20
_MAX_HOSTS: Final = 512


class KeysUnavailable(Unavailable):
    """The keys that would tell are not to be had at the moment: the sender should come back."""

    code = "signing.keys_unavailable"
    title = "The sender's public keys cannot be fetched"


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: KeySet
    fetched_at: float


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
    """Finds published keys by their address; bounded in documents, attempts, and fetches from one host.

    Args:
        fetch: Returns the document or raises OutboundError.
        ticks: Seconds on a clock that never goes back.
    """

    def __init__(self, fetch: Fetch, *, ticks: Callable[[], float], patience: Patience | None = None) -> None:
        self._fetch = fetch
        self._ticks = ticks
        self._patience = patience or Patience()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._tried: OrderedDict[str, float] = OrderedDict()
        self._hosts: OrderedDict[str, list[float]] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def verify(
        self, profile: CompiledProfile, request: SignedRequest, secrets: Sequence[Secret], now: datetime
    ) -> Verified | Refused:
        """This will verify a request with the keys that its profile wants.

        Raises:
            KeysUnavailable: They cannot be fetched now.
        """
        if profile.remote is None:
            return profile.check(request, secrets, now)
        wanted = profile.remote.wants(request, secrets, now)
        held = await self.gather(wanted) if wanted else {}
        return profile.remote.judge(request, secrets, now, held)

    async def gather(self, wanted: Sequence[Wanted]) -> Held:
        """This will return the key sets at the wanted addresses.

        Raises:
            KeysUnavailable: Not one of them is there.
        """
        held = {want.url: keys for want in wanted if (keys := await self._find(want)) is not None}
        if not held:
            raise KeysUnavailable("the document with the public keys cannot be fetched")
        return held

    async def aclose(self) -> None:
        """This will give up what is being fetched."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find(self, want: Wanted) -> KeySet | None:
        kept = self._kept.get(want.url)
        if kept is not None:
            self._kept.move_to_end(want.url)
            is_fresh = self._ticks() - kept.fetched_at < self._patience.fresh_s
            if is_fresh and want.key_id in kept.keys:
                return kept.keys
        task = self._fetching.get(want.url) or self._begin(want)
        if task is not None and not self._is_usable(kept, want):
            # Shielded: one sender who hangs up must not take the keys from the others.
            await asyncio.wait({task}, timeout=self._patience.wait_s)
            kept = self._kept.get(want.url)
        return kept.keys if kept is not None and self._is_in_time(kept) else None

    def _is_in_time(self, kept: _Kept) -> bool:
        return self._ticks() - kept.fetched_at < self._patience.stale_s

    def _is_usable(self, kept: _Kept | None, want: Wanted) -> bool:
        """What is outdated is used once more while it is renewed; an unknown key waits for the renewal."""
        return kept is not None and self._is_in_time(kept) and want.key_id in kept.keys

    def _begin(self, want: Wanted) -> asyncio.Task[None] | None:
        """This will start to fetch, unless the address or its host was asked too lately."""
        now = self._ticks()
        if now - self._tried.get(want.url, -self._patience.pause_s) < self._patience.pause_s:
            return None
        if not self._may_ask(urlsplit(want.url).netloc, now):
            FETCHES.labels(want.document.value, "too_many").inc()
            return None
        self._tried[want.url] = now
        self._tried.move_to_end(want.url)
        while len(self._tried) > _MAX_ATTEMPTS_KEPT:
            self._tried.popitem(last=False)
        task = self._fetching[want.url] = asyncio.get_running_loop().create_task(self._renew(want.url, want.document))
        task.add_done_callback(lambda _: self._fetching.pop(want.url, None))
        return task

    def _may_ask(self, host: str, now: float) -> bool:
        asked = [at for at in self._hosts.get(host, []) if now - at < _HOST_WINDOW_S]
        if len(asked) >= _HOST_FETCHES:
            return False
        self._hosts[host] = [*asked, now]
        self._hosts.move_to_end(host)
        while len(self._hosts) > _MAX_HOSTS:
            self._hosts.popitem(last=False)
        return True

    async def _renew(self, url: str, document: Document) -> None:
        try:
            async with self._slots:
                keys = read_document(document, await self._fetch(url))
        except (TocsinError, UnreadableKeys) as error:
            FETCHES.labels(document.value, "failed").inc()
            log.warning("signing.keys_not_fetched", host=urlsplit(url).netloc, error=str(error)[:200])
            return
        FETCHES.labels(document.value, "fetched").inc()
        self._kept[url] = _Kept(keys, self._ticks())
        self._kept.move_to_end(url)
        while len(self._kept) > _MAX_DOCUMENTS:
            self._kept.popitem(last=False)


def fetch_with(http: OutboundHttp) -> Fetch:
    """This will return the fetch of a process: public addresses or the operator's, no redirects, small answers."""

    async def fetch(url: str) -> bytes:
        answer = await http.request("GET", url, timeout_s=_FETCH_TIMEOUT_S, max_bytes=MAX_DOCUMENT_BYTES)
        if answer.status != 200:
            raise OutboundError(f"the answer has the status {answer.status}", sent=True)
        return answer.body

    return fetch
