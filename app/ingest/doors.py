"""What may stand behind ``/in/{source}``: the delivery itself, and further paths for senders that prescribe theirs."""

from __future__ import annotations

from typing import Protocol

from app.ingest.answers import Answer
from app.ingest.known_sources import KnownSource
from app.ingest.rules.limits import Limited
from app.net.signing import SignedRequest, Verified


class Gate(Protocol):
    """What a door lets in at a time. It is asked before a signature is checked, and counts only what was verified."""

    def refusal(self, source: KnownSource) -> Limited | None:
        """This will say why nothing of the source is taken now, or None."""
        ...

    def took(self, source: KnownSource, size_bytes: int) -> None:
        """This will count a verified request of the source."""
        ...


class Door(Protocol):
    """One path under a source. Whoever comes through has proved that it is the source's sender.

    Attributes:
        methods: Of HTTP, upper case.
        gate: Doors that store deliveries share one.
    """

    @property
    def methods(self) -> frozenset[str]: ...

    @property
    def gate(self) -> Gate: ...

    def serves(self, source: KnownSource) -> bool:
        """This will say whether the source has this door; where it has not, the answer is that of an unknown source."""
        ...

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will act on a verified request of an active source."""
        ...
