"""How many may be in at once: of all, and of one address."""

from __future__ import annotations

import asyncio
from collections import Counter

from app.smtp.measures import CONNECTIONS, REFUSED


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
        if self._peers[peer] >= self._limit_of_peer:
            REFUSED.labels("peer").inc()
            return "421 4.7.0 too many connections from your address, try again later"
        self._peers[peer] += 1
        self.inside.add(connection)
        self.emptied.clear()
        CONNECTIONS.set(len(self.inside))
        return None

    def leave(self, connection: object, peer: str) -> None:
        """This will give a place back, once."""
        if connection not in self.inside:
            return
        self.inside.discard(connection)
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]
        CONNECTIONS.set(len(self.inside))
        if not self.inside:
            self.emptied.set()
