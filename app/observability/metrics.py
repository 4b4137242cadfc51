"""Prometheus metrics: one registry per process, served on a port of its own.

Labels are bounded by rule: kinds, queues and outcomes, never ids, tenants or a sender's text. A metric that breaks the
rule does not get made.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from opentelemetry import trace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)

FORBIDDEN_LABELS = frozenset(
    {"tenant", "tenant_id", "id", "incident_id", "job_id", "source_id", "title", "path", "url"}
)
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
PORTS_TRIED = 50

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class UnboundedLabel(ValueError):
    """A metric was declared with a label that would hold ids or strangers' text."""


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """This will declare a counter; its name starts with ``tocsin_``.

    Raises:
        UnboundedLabel: A label would be unbounded.
    """
    return Counter(_checked(name, labels), description, labels, registry=REGISTRY)


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """This will declare a gauge; see ``counter``."""
    return Gauge(_checked(name, labels), description, labels, registry=REGISTRY)


def histogram(
    name: str, description: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """This will declare a histogram in seconds (or with the given buckets); see ``counter``."""
    return Histogram(_checked(name, labels), description, labels, registry=REGISTRY, buckets=tuple(buckets))


def exemplar() -> dict[str, str] | None:
    """This will return the current trace's id as an exemplar, or None outside a recorded trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": format(context.trace_id, "032x")}


def _checked(name: str, labels: Sequence[str]) -> str:
    if not name.startswith("tocsin_"):
        raise ValueError(f"metric {name!r} must start with tocsin_")
    unbounded = FORBIDDEN_LABELS.intersection(labels)
    if unbounded:
        raise UnboundedLabel(f"metric {name!r} has unbounded labels: {', '.join(sorted(unbounded))}")
    return name


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line each."""


class _Server(WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class MetricsServer:
    """A running metrics endpoint."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="tocsin-metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        """This will stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def serve_metrics(host: str, port: int) -> MetricsServer:
    """This will serve ``/metrics`` on its own thread; a busy port makes it take the next free one.

    Args:
        host: Address to listen on.
        port: First port to try; 0 lets the system choose.

    Raises:
        OSError: None of the tried ports was free.
    """
    application = make_wsgi_app(REGISTRY)
    for candidate in range(port, port + PORTS_TRIED) if port else [0]:
        try:
            return MetricsServer(make_server(host, candidate, application, _Server, handler_class=_Quiet))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free metrics port from {port} to {port + PORTS_TRIED - 1}")
