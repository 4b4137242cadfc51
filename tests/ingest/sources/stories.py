"""The lives of alerts, told with the samples of the sources: what fires, what ends it, which fields name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from app.core.ids import DeliveryId, SourceId
from app.incidents.rules.signals import Signal
from app.incidents.schemas import AlertEvent, SourceFacts
from app.incidents.service.normalise import Delivered, to_signals
from app.ingest.sources import get_source
from tests.contracts.test_sources import FOLDER, paths, read_sample, replaced

RECEIVED = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Story:
    """Two deliveries of one alert.

    Attributes:
        names: The fields that tell this alert from others of its source, wherever they stand in the body.
    """

    slug: str
    firing: str
    resolved: str
    names: tuple[str, ...]

    @property
    def id(self) -> str:
        """The test's id."""
        return f"{self.slug}-{self.firing}-{self.resolved}"

    def events(self, sample: str, identity: str | None = None) -> list[AlertEvent]:
        """This will parse the sample, the texts of its identifying fields replaced by ``identity``."""
        source = get_source(self.slug)
        read = read_sample(source, (FOLDER / self.slug / "samples" / f"{sample}.json").read_bytes())
        body = read.body
        if identity is not None:
            body = orjson.dumps(with_identity(orjson.loads(body), self.names, identity))
        return source.parse(body, read.headers, read.config)

    def signals(self, sample: str, *, received_at: datetime, seq: int, identity: str | None = None) -> list[Signal]:
        """This will parse and normalise the sample as the worker does."""
        source = get_source(self.slug)
        facts = SourceFacts(
            id=SourceId(UUID(int=1)), kind=self.slug, name=source.title, severity_map=dict(source.severities)
        )
        delivered = Delivered(
            delivery_id=DeliveryId(UUID(int=seq)),
            received_at=received_at,
            seq=seq,
            events=self.events(sample, identity),
        )
        return to_signals(facts, delivered)


def with_identity(document: Any, names: tuple[str, ...], identity: str) -> Any:
    """This will put ``identity`` into every field of one of the names, in the alarm inside an SNS message too."""
    for path in list(paths(document)):
        if path and path[-1] in names:
            document = replaced(document, path, identity)
        elif path and path[-1] == "Message":
            inner = with_identity(orjson.loads(_at(document, path)), names, identity)
            document = replaced(document, path, orjson.dumps(inner).decode())
    return document


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


STORIES = (
    Story("prometheus", "firing", "resolved", ("instance",)),
    Story("grafana", "firing", "resolved", ("fingerprint",)),
    Story("grafana", "legacy_alerting", "legacy_ok", ("ruleId",)),
    Story("pagerduty", "triggered", "resolved", ("id",)),
    Story("sentry", "issue_alert", "issue_resolved", ("issue_id", "id")),
    Story("sentry", "issue_created", "issue_archived", ("id",)),
    Story("sentry", "metric_critical", "metric_resolved", ("id",)),
    Story("datadog", "triggered", "recovered", ("alert_cycle_key",)),
    Story("datadog", "default_payload", "default_payload_recovered", ()),
    Story("newrelic", "activated", "closed", ("id",)),
    Story("cloudwatch", "alarm", "ok", ("AlarmArn",)),
    Story("cloudwatch", "insufficient_data", "ok", ("AlarmArn",)),
    Story("cloudwatch", "event_bridge", "ok", ()),
    Story("azure_monitor", "metric_fired", "metric_resolved", ("alertId",)),
    Story("azure_monitor", "service_health", "service_health_resolved", ("trackingId",)),
    Story("azure_monitor", "resource_health", "resource_health_resolved", ()),
    Story("gcp_monitoring", "open", "closed", ("incident_id",)),
    Story("zabbix", "problem", "recovery", ("event_id",)),
    Story("nagios", "problem", "recovery", ("host",)),
    Story("nagios", "host_down", "host_up", ("host",)),
    Story("nagios", "flapping_starts", "flapping_stops_well", ("service",)),
    Story("icinga2", "problem", "recovery", ("service",)),
    Story("icinga2", "problem", "downtime_removed", ("host",)),
    Story("checkmk", "service_problem", "service_recovery", ("NOTIFY_SERVICEDESC",)),
)

ONGOING: Mapping[str, tuple[str, ...]] = {
    "pagerduty": ("acknowledged", "annotated", "reassigned", "priority_updated"),
    "zabbix": ("acknowledged", "severity_changed", "unacknowledged"),
    "nagios": ("acknowledgement", "custom", "downtime_starts", "downtime_ends_badly"),
    "icinga2": ("acknowledgement",),
    "checkmk": ("acknowledgement", "flapping_starts"),
    "newrelic": ("acknowledged", "priority_changed"),
    "datadog": ("warn", "no_data", "renotify"),
    "cloudwatch": ("alarm_loses_its_data",),
}
"""What may come between a firing and its end, of the first story of each source."""

FIRST = {story.slug: story for story in reversed(STORIES)}


def minutes_on(count: float) -> datetime:
    """This will return a time of arrival."""
    return RECEIVED + timedelta(minutes=count)
