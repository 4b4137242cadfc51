"""CloudEvents 1.0 over HTTP, in all three modes: the attributes and the data, by the generic source's expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.incidents.schemas import AlertEvent
from app.ingest.contract import AlertSource, Events, Ignored
from app.ingest.sources.cloudevents.envelope import InvalidEvent, read_events
from app.ingest.sources.generic.config import Expression, MappingConfig, Value
from app.ingest.sources.generic.mapping import Mapper, events_of

_IDS = "dedup_key || data.fingerprint || data.incident_key || data.alert_id || data.incident_id || data.id"


class CloudEventsConfig(MappingConfig):
    """The mapping of one event: its attributes by their names, what it carries under ``data``.

    An alert's identity is the source with the data's own id, else with the subject, else with the type: the id of an
    event is another one each time. The last word of the type, as in ``com.example.disk.resolved``, is the state.
    """

    title: Value = (
        "data.title || data.summary || data.alert_name || data.name || data.message || text || subject || type"
    )
    description: Value = "data.description || data.details || data.message || data.text || text"
    dedup: tuple[Value, ...] = ("source", f"data.{_IDS} || subject || type")
    status: Value = r"data.status || data.state || data.action || extract(type, '([A-Za-z]+)(?:\.v?[0-9.]+)?$')"
    severity: Value = "data.severity || data.priority || data.level || severity || severitytext"
    event_time: Value = "time || data.timestamp || data.time"
    labels_from: Expression = "data.labels || data.tags"
    url: Value = "data.url || data.link || data.html_url"


class EventMapper(Mapper[CloudEventsConfig]):
    """Maps each event of a delivery; one that is none is left out with its reason, and its neighbours are not."""

    def __init__(self, body: bytes, headers: Mapping[str, str], config: CloudEventsConfig) -> None:
        self._events = list(read_events(body, headers))
        super().__init__(config, headers=headers, document=[_shape(event) for event in self._events])

    def each(self) -> Iterator[AlertEvent | Ignored]:
        """This will map one event after the other.

        Raises:
            InvalidEvent: None of them is one.
        """
        broken = [event for event in self._events if isinstance(event, InvalidEvent)]
        if broken and len(broken) == len(self._events):
            raise broken[0]
        for index, event in enumerate(self._events):
            if isinstance(event, InvalidEvent):
                yield Ignored(f"event {index + 1} is left out: {event.detail}")
            else:
                yield self.map(_shape(event), warnings=event.warnings)

    def standing_labels(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """This will return the attributes that say where the event is from and what it is."""
        return {name: item[name] for name in ("type", "source", "subject") if item.get(name) is not None}


def _shape(event: Any) -> dict[str, Any]:
    if isinstance(event, InvalidEvent):
        return {}
    item = {**event.attributes, "data": event.data}
    if isinstance(event.data, str):
        item["text"] = event.data
    return item


def parse(body: bytes, headers: Mapping[str, str], config: CloudEventsConfig) -> Events:
    """This will return one event per CloudEvent.

    Raises:
        ParseError: The body is not what its content type says, or holds no valid event.
    """
    return events_of(EventMapper(body, headers, config))


SOURCE = AlertSource(
    slug="cloudevents",
    title="CloudEvents 1.0",
    profile="bearer",
    config_model=CloudEventsConfig,
    parse=parse,
    explain=EventMapper,
    content_types=("text/plain",),
    document="https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md",
    document_date="2022-02",
    setup="Point the producer's HTTP sink (Knative, Argo Events, Event Grid and others) at the address with the secret "
    "as a bearer token. Structured, batched and binary mode are taken, events in JSON. For "
    "Event Grid choose the schema CloudEvents v1.0 and, under Delivery Properties, a static secret header Authorization "
    "with 'Bearer <secret>' as its value; its validation of the address is answered.",
    example={
        "specversion": "1.0",
        "id": "test-1",
        "source": "/tocsin/first-test",
        "type": "com.example.alert.firing",
        "subject": "disk-1",
        "data": {"title": "A first event", "severity": "info"},
    },
)
