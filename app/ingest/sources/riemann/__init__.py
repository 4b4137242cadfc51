"""Riemann: events as JSON, posted from a stream of its configuration.

Source: Riemann, "Concepts" (the fields of an event) and ``riemann.common/event-to-json`` of 0.3.12, read 2026-11:
``host``, ``service``, ``state``, ``description``, ``metric``, ``tags``, ``time`` (ISO 8601), ``ttl`` and whatever else
an event carries. Riemann has no webhook of its own; this in ``riemann.config`` sends each change of state::

    (require '[clj-http.client :as http])
    (defn tocsin [event]
      (http/post "https://tocsin.example/in/<the source's address>"
                 {:body (riemann.common/event-to-json event) :content-type :json
                  :headers {"Authorization" "Bearer <secret>"}
                  :socket-timeout 10000 :connection-timeout 10000}))
    (streams (changed-state {:init "ok"} (async-queue! :tocsin {:queue-size 1000} tocsin)))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, Events, NoConfig, ParseError, check_count, load_json
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, compound_key, description_of, prose_at, said, text_at, text_of, texts_at

_OVER = frozenset({"ok", "up", "clear", "cleared", "resolved"})
_OWN_FIELDS = frozenset(
    {
        "host",
        "service",
        "state",
        "description",
        "metric",
        "metric_f",
        "tags",
        "time",
        "time_micros",
        "ttl",
        "attributes",
    }
)


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return one event for each of Riemann's that has a state; a mere metric is no alert.

    Raises:
        ParseError: Neither an event nor a list of events, too many, or none of them names a service or a host.
    """
    document = load_json(body)
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        document = document["events"]
    entries = document if isinstance(document, list) else [document]
    check_count(len(entries))
    found = [entry for entry in entries if isinstance(entry, dict) and text_at(entry, "service", "host")]
    if entries and not found:
        raise ParseError("body.unexpected_shape", "no event of Riemann: 'service' or 'host' is needed")
    events = Events(_event(entry) for entry in found if text_at(entry, "state", limit=255))
    if len(events) < len(found):
        events.note("a metric without a state is no alert")
    return events


def _event(event: Mapping[str, Any]) -> AlertEvent:
    warnings: list[str] = []
    host, service = text_at(event, "host", limit=250), text_at(event, "service", limit=250)
    state = text_at(event, "state", limit=100)
    at = values.parse_time(event.get("time"))
    if at is None:
        warnings.append("no usable time: the time of delivery counts")
    over = state.lower() in _OVER
    return AlertEvent(
        # Riemann's own index goes by host and service.
        dedup_key=compound_key("host-service", host, service),
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        title=_title(event, host, service, state),
        description=_description(event, state),
        raw_severity=state,
        event_time=at,
        starts_at=None if over else at,
        ends_at=at if over else None,
        labels=_labels(event, host, service),
        warnings=bounded(warnings),
    )


def _title(event: Mapping[str, Any], host: str, service: str, state: str) -> str:
    """This will say ``api errors on web-1 is critical (9.3)``; of an expired event that nothing is heard any more."""
    where = f"{service} on {host}" if service and host else service or host
    if state.lower() == "expired":
        return values.one_line(f"{where} no longer reports (expired)")
    metric = text_of(event.get("metric"), limit=40)
    return values.one_line(f"{where} is {state} ({metric})" if metric else f"{where} is {state}")


def _description(event: Mapping[str, Any], state: str) -> str:
    ttl = text_of(event.get("ttl"), limit=40)
    silent = f"Nothing was heard of it for its ttl of {ttl} s." if state.lower() == "expired" and ttl else ""
    parts = (prose_at(event, "description"), silent)
    return description_of(parts)


def _labels(event: Mapping[str, Any], host: str, service: str) -> dict[str, str]:
    further = {
        values.clean_text(name, limit=values.LABEL_NAME_MAX): text_of(event[name])
        for name in list(event)[: values.LABELS_MAX - 5]
        if name not in _OWN_FIELDS
    }
    named = {"alertname": service or host, "host": host, "service": service}
    return said({**further, **named, "tags": " ".join(texts_at(event, "tags"))})


SOURCE = AlertSource(
    slug="riemann",
    title="Riemann",
    profile="bearer",
    parse=parse,
    content_types=("text/plain",),  # what clj-http calls a text where :content-type is left out
    severities={
        **COMMON_SEVERITIES,
        "failure": Severity.P1,
        "failed": Severity.P1,
        "down": Severity.P1,
        "expired": Severity.P2,
        "unknown": Severity.P2,
        "ok": Severity.P3,
    },
    example={
        "host": "web-1",
        "service": "api errors",
        "state": "critical",
        "description": "",
        "metric": 9.3,
        "tags": ["prod"],
        "time": "2026-01-05T12:00:00.000Z",
        "ttl": 60.0,
    },
    document="https://riemann.io/concepts.html",
    document_date="2026-11-21",
    setup="In riemann.config post (riemann.common/event-to-json event) with clj-http to the address, with :content-type :json "
    'and the header Authorization "Bearer <secret>", behind (changed-state {:init "ok"} (async-queue! ...)), so that each '
    "change of state is sent once. Let the index expire events into the same stream: a service that falls silent is an "
    "alert, and its next ok resolves it.",
)
