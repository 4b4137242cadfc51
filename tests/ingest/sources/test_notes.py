"""What a receipt says of deliveries of which no alert is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from app.ingest.contract import Events
from app.ingest.sources import all_sources
from tests.contracts.test_sources import FOLDER, read_sample

TESTS_OF_SENDERS = [
    *(("cloudflare", "test"), ("dynatrace", "test_run"), ("gcp_monitoring", "channel_test"), ("graylog", "test")),
    *(("grafana", "contact_point_test"), ("healthchecks", "test"), ("honeycomb", "test"), ("librenms", "test")),
    *(("rollbar", "test"), ("thousandeyes", "test"), ("uptime_kuma", "test"), ("vrealize", "plugin_test")),
    ("zabbix", "media_type_test"),
]


def notes_of(slug: str, sample: Path | dict[str, Any]) -> list[str]:
    source = all_sources()[slug]
    read = read_sample(source, sample.read_bytes() if isinstance(sample, Path) else orjson.dumps(sample))
    events = source.parse(read.body, read.headers, read.config)
    assert isinstance(events, Events)
    return events.notes


@pytest.mark.parametrize(("slug", "sample"), TESTS_OF_SENDERS)
def test_a_senders_test_is_told_as_one(slug: str, sample: str) -> None:
    assert notes_of(slug, FOLDER / slug / "samples" / f"{sample}.json") == ["a test: no alert"]


def test_a_pipeline_that_failed_elsewhere_is_not_told_as_one_that_did_not_fail() -> None:
    (note,) = notes_of("gitlab", FOLDER / "gitlab" / "samples" / "pipeline_of_a_merge_request.json")
    assert "not on the default branch" in note


def test_events_of_riemann_without_a_state_are_told() -> None:
    metric = {"host": "web-1", "service": "cpu", "metric": 0.7}
    assert notes_of("riemann", metric) == ["a metric without a state is no alert"]
