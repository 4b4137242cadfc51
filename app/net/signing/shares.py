"""Each tenant's share of the fetching and keeping of published keys: who asks for much takes it from nobody else.

An engineer of any tenant can name hosts that hang and documents without number. What he uses up is his own tenant's: its
turns, its fetches a minute and its places in the memory. A document is kept once, for everybody who uses its address.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from app.net.signing.key_sets import KeySet

FETCHES_AT_ONCE: Final = 2
"""Of one tenant; more wait for their turn."""
FETCHES: Final = 40
"""Of one tenant between two fetches of one address, whatever the hosts."""
HOST_FETCHES: Final = 20
"""The same from one host."""
DOCUMENTS_EACH: Final = 32
"""That one tenant holds; with one more it gives up the one that it has not used for longest."""
DOCUMENTS: Final = 512
"""Of the process; with one more the tenant that holds most gives one up."""
TENANTS: Final = 4096
"""Whose shares are remembered; nothing of the others but what they fetch now."""


class Share:
    """What is one tenant's own.

    Attributes:
        slots: The turns of its fetches.
        fetching: What is being fetched for it, by address.
        held: The addresses of the documents that it holds, the one that was used last at the end.
    """

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(FETCHES_AT_ONCE)
        self.fetching: dict[str, asyncio.Task[None]] = {}
        self.held: OrderedDict[str, None] = OrderedDict()
        self._asked: dict[str, float] = {}

    def has_asked(self, url: str, *, since: float) -> bool:
        """This will say whether the address was asked for after ``since``, and forget what was asked before it."""
        self._asked = {asked: at for asked, at in self._asked.items() if at > since}
        return url in self._asked

    def ask(self, url: str, *, now: float) -> bool:
        """This will count a fetch of the address; False where the tenant's fetches are used up, or those from this host."""
        host = urlsplit(url).netloc
        if len(self._asked) >= FETCHES or sum(urlsplit(asked).netloc == host for asked in self._asked) >= HOST_FETCHES:
            return False
        self._asked[url] = now
        return True


@dataclass(slots=True)
class Kept:
    """A document's keys, when they were fetched, and which tenants use them."""

    keys: KeySet
    fetched_at: float
    holders: set[Hashable] = field(default_factory=set)


class Shares:
    """The tenants' shares and the documents that they hold; bounded in both."""

    def __init__(self) -> None:
        self._shares: OrderedDict[Hashable, Share] = OrderedDict()
        self._kept: dict[str, Kept] = {}

    def of(self, tenant: Hashable) -> Share:
        """This will return the tenant's share."""
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = Share()
        self._shares.move_to_end(tenant)
        while len(self._shares) > TENANTS:
            idle = next(iter(self._shares))
            while self._shares[idle].held:
                self._give_up_one(idle)
            del self._shares[idle]
        return share

    def kept(self, url: str) -> Kept | None:
        """This will return what is kept of an address, for nobody's use."""
        return self._kept.get(url)

    def use(self, tenant: Hashable, url: str) -> Kept | None:
        """This will return what is kept of an address, for whomever it was fetched; from now on the tenant holds it too."""
        kept = self._kept.get(url)
        if kept is not None:
            self._hold(tenant, url, kept)
        return kept

    def keep(self, tenant: Hashable, url: str, keys: KeySet, *, now: float) -> None:
        """This will keep what was fetched for the tenant in place of what was known."""
        kept = self._kept.setdefault(url, Kept(keys, now))
        kept.keys, kept.fetched_at = keys, now
        self._hold(tenant, url, kept)
        while len(self._kept) > DOCUMENTS:
            self._give_up_one(max(self._shares, key=lambda one: len(self._shares[one].held)))

    def _hold(self, tenant: Hashable, url: str, kept: Kept) -> None:
        kept.holders.add(tenant)  # first: making room for the tenant's share must not take the document away
        held = self.of(tenant).held
        held[url] = None
        held.move_to_end(url)
        while len(held) > DOCUMENTS_EACH:
            self._give_up_one(tenant)

    def _give_up_one(self, tenant: Hashable) -> None:
        """The document goes only when nobody else holds it."""
        url, _ = self._shares[tenant].held.popitem(last=False)
        kept = self._kept[url]
        kept.holders.discard(tenant)
        if not kept.holders:
            del self._kept[url]
