"""``/in/{source}/api/v2/alerts``: where Prometheus itself posts, once the source's address is its ``path_prefix``.

Source: prometheus.io, "Configuration", ``alertmanager_config``, read 2026-11: any 2xx is success, and nothing that
failed is sent again, so a delivery that was not stored is repeated by the next evaluation only.
"""

from __future__ import annotations

from app.ingest import answers
from app.ingest.answers import Answer
from app.ingest.delivery_door import DeliveryDoor
from app.ingest.known_sources import KnownSource
from app.net.signing import SignedRequest, Verified

_TAKEN = frozenset({"accepted", "duplicate"})


class PrometheusDoor:
    """Takes what Prometheus sends to an Alertmanager, and answers as that does."""

    methods = frozenset({"POST"})

    def __init__(self, deliveries: DeliveryDoor) -> None:
        self._deliveries = deliveries
        self.gate = deliveries.gate
        self._taken = {outcome: answers.json_answer(200, {}, outcome) for outcome in _TAKEN}

    def serves(self, source: KnownSource) -> bool:
        """This will say that only sources of this kind have the door."""
        return source.kind == "prometheus"

    async def take(self, source: KnownSource, verdict: Verified, request: SignedRequest) -> Answer:
        """This will store the alerts as any delivery."""
        answer = await self._deliveries.take(source, verdict, request)
        return self._taken.get(answer.outcome, answer)
