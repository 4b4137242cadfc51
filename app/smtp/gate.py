"""How many may be in at once: of all, and of one peer."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter

from app.smtp.measures import CONNECTIONS, REFUSED

_HOST_BITS = 64
"""Of an IPv6 address: whoever has one has a whole network of them, so the network is the peer (RFC 6177)."""


class Gate:
    """Counts connections.

    Attributes:
        inside: The connections that were let in.
        emptied: Set while there is none.
    """

    def __init__(self, *, limit: int, limit_of_peer: int) -> None:
        self._limit = limit
        self._limit_of_peer = limit_of_peer
        self._peers: Counter[str] = Counter()
        self.inside: set[object] = set()
        self.emptied = asyncio.Event()
        self.emptied.set()

    def enter(self, connection: object, peer: str) -> str | None:
        """This will let a connection in, or return what to tell it."""
        if len(self.inside) >= self._limit:
            REFUSED.labels("full").inc()
            return "421 4.3.2 too many connections, try again later"
        one = peer_of(peer)
        if self._peers[one] >= self._limit_of_peer:
            REFUSED.labels("peer").inc()
            return "421 4.7.0 too many connections from your address, try again later"
        self._peers[one] += 1
        self.inside.add(connection)
        self.emptied.clear()
        CONNECTIONS.set(len(self.inside))
        return None

    def leave(self, connection: object, peer: str) -> None:
        """This will give a place back, once."""
        if connection not in self.inside:
            return
        self.inside.discard(connection)
        one = peer_of(peer)
        self._peers[one] -= 1
        if not self._peers[one]:
            del self._peers[one]
        CONNECTIONS.set(len(self.inside))
        if not self.inside:
            self.emptied.set()


def peer_of(address: str) -> str:
    """This will return what stands for all addresses of one peer."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or found.packed[: _HOST_BITS // 8].hex())
