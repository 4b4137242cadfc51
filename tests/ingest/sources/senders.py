"""The samples of the uptime monitors, forges, desks and log searches as deliveries: parsed and normalised as the worker does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import orjson

from app.core.ids import DeliveryId, SourceId
from app.incidents.rules.signals import Signal
from app.incidents.schemas import AlertEvent, SourceFacts
from app.incidents.service.normalise import Delivered, to_signals
from app.ingest.sources import get_source
from tests.contracts.test_sources import FOLDER, read_sample, replaced

# When the first of the samples' events is delivered: a little after it happened.
RECEIVED = datetime(2026, 3, 2, 10, 15, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Sent:
    """A sample, with other values in some of its places.

    Attributes:
        changes: From a path, ``alert.id``, to the value that stands there instead.
    """

    slug: str
    sample: str
    changes: Mapping[str, Any]

    def events(self) -> list[AlertEvent]:
        """This will parse the body, in the sample's own format."""
        source = get_source(self.slug)
        read = read_sample(source, (FOLDER / self.slug / "samples" / f"{self.sample}.json").read_bytes())
        is_json = read.body.startswith((b"{", b"["))
        document = orjson.loads(read.body) if is_json else dict(parse_qsl(read.body.decode(), keep_blank_values=True))
        for path, value in self.changes.items():
            document = replaced(document, tuple(path.split(".")), value)
        body = orjson.dumps(document) if is_json else urlencode(document).encode()
        return source.parse(body, read.headers, read.config)

    def signal(self, *, minute: float, seq: int) -> Signal:
        """This will normalise the one event, delivered some minutes after the first of the story."""
        source = get_source(self.slug)
        facts = SourceFacts(
            id=SourceId(UUID(int=1)), kind=self.slug, name=source.title, severity_map=dict(source.severities)
        )
        delivered = Delivered(
            delivery_id=DeliveryId(UUID(int=seq)),
            received_at=RECEIVED + timedelta(minutes=minute),
            seq=seq,
            events=self.events(),
        )
        (signal,) = to_signals(facts, delivered)
        return signal


def sent(slug: str, sample: str, **changes: Any) -> Sent:
    """This will name a sample; ``__`` in a name stands for the dot of a path."""
    return Sent(slug, sample, {path.replace("__", "."): value for path, value in changes.items()})
