"""The body of a new source's first curl line: one alert, understood without a warning, whatever kind of source it is."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.core.ids import DeliveryId, SourceId
from app.incidents.schemas import AlertStatus, SourceFacts
from app.incidents.service.normalise import Delivered, to_signals
from app.ingest.service.shown import example_body
from app.ingest.sources import all_sources


@pytest.mark.parametrize("slug", list(all_sources()))
def test_the_example_is_one_firing_alert_without_a_warning(slug: str) -> None:
    source = all_sources()[slug]
    events = source.parse(example_body(source), {"content-type": source.example_type}, source.config_model())
    facts = SourceFacts(id=SourceId(UUID(int=1)), kind=slug, name=slug, severity_map=source.severities)
    delivered = Delivered(
        delivery_id=DeliveryId(UUID(int=1)), received_at=datetime(2026, 11, 21, tzinfo=UTC), seq=1, events=events
    )
    signals = to_signals(facts, delivered)
    assert [signal.status for signal in signals] == [AlertStatus.FIRING]
    # A severity or a time that nobody understands is a warning too, and only what normalises sees it.
    assert [signal.warnings for signal in signals] == [()]
    assert list(getattr(events, "notes", ())) == []
