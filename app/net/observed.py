"""What is seen of an outgoing call from outside: one span, one count, one duration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.trace import Span, SpanKind

from app.net.errors import OutboundError
from app.observability.metrics import counter, histogram
from app.observability.tracing import span_from

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = counter("tocsin_outbound_requests_total", "Outgoing HTTP calls by outcome.", ("method", "outcome"))
SECONDS = histogram("tocsin_outbound_seconds", "Duration of outgoing HTTP calls in seconds.", ("outcome",))


class Observation:
    """What is seen of one call: never its path or query, which may hold secrets."""

    def __init__(self, span: Span, verb: str) -> None:
        self._span = span
        self.outcome = "error"
        span.set_attribute("http.request.method", verb)

    def describe(self, host: str, port: int) -> None:
        self._span.set_attributes({"server.address": host, "server.port": port})

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        self.outcome = f"{min(status // 100, 5)}xx"


@contextmanager
def observed(verb: str) -> Iterator[Observation]:
    """This will give the call its span and its metrics, whatever becomes of it."""
    label = verb if verb in METHODS else "other"
    started = time.perf_counter()
    with span_from(None, "outbound.request", kind=SpanKind.CLIENT) as span:
        seen = Observation(span, label)
        try:
            yield seen
        except OutboundError as error:
            seen.outcome = error.code.removeprefix("outbound.")
            raise
        finally:
            REQUESTS.labels(label, seen.outcome).inc()
            SECONDS.labels(seen.outcome).observe(time.perf_counter() - started)
