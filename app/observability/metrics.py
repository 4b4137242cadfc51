"""Prometheus metrics: one registry per process, served on a port of its own.

Labels are bounded by rule: kinds, queues and outcomes, never ids, tenants or a sender's text. A metric that breaks the
rule does not get made. Histograms carry the current trace's id as an exemplar, which scrapers see that ask for OpenMetrics.
"""

from __future__ import annotations

import errno
import socket
import socketserver
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
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

from app.observability.probes import Probe, with_probes
from app.observability.tracing import recorded_trace_id

log = structlog.get_logger(__name__)

FORBIDDEN_LABELS = frozenset({"tenant", "id", "title", "path", "url", "host", "name", "email", "user", "alertname"})
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
PORTS_TRIED = 50
SCRAPE_TIMEOUT_S = 15

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


@dataclass(frozen=True)
class Declared:
    """What is known of a metric before it has any value.

    Attributes:
        kind: ``counter``, ``gauge`` or ``histogram``.
        buckets: Upper bounds of a histogram, without the infinite one.
    """

    name: str
    kind: str
    description: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


DECLARED: dict[str, Declared] = {}
"""Every metric of ours by name, for what is derived from them: rules, dashboards, the reference."""


class UnboundedLabel(ValueError):
    """A metric was declared with a label that would hold ids or strangers' text."""


class TracedHistogram(Histogram):
    """A histogram whose observations remember the trace that they were made in."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """This will count ``amount``; without an exemplar of the caller's, the current recorded trace is it."""
        super().observe(amount, exemplar if exemplar is not None else _trace_exemplar())


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """This will declare a counter; its name starts with ``tocsin_``.

    Raises:
        UnboundedLabel: A label would be unbounded.
    """
    made = Counter(_checked(name, labels), description, labels, registry=REGISTRY)
    DECLARED[name] = Declared(name, "counter", description, tuple(labels))
    return made


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """This will declare a gauge; see ``counter``."""
    made = Gauge(_checked(name, labels), description, labels, registry=REGISTRY)
    DECLARED[name] = Declared(name, "gauge", description, tuple(labels))
    return made


def histogram(
    name: str, description: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = LATENCY_BUCKETS
) -> TracedHistogram:
    """This will declare a histogram in seconds (or with the given buckets); see ``counter``."""
    made = TracedHistogram(_checked(name, labels), description, labels, registry=REGISTRY, buckets=tuple(buckets))
    DECLARED[name] = Declared(name, "histogram", description, tuple(labels), tuple(buckets))
    return made


def _trace_exemplar() -> dict[str, str] | None:
    trace_id = recorded_trace_id()
    return {"trace_id": trace_id} if trace_id is not None else None


def _checked(name: str, labels: Sequence[str]) -> str:
    if not name.startswith("tocsin_"):
        raise ValueError(f"metric {name!r} must start with tocsin_")
    unbounded = [label for label in labels if label in FORBIDDEN_LABELS or label.endswith("_id")]
    if unbounded:
        raise UnboundedLabel(f"metric {name!r} has unbounded labels: {', '.join(sorted(unbounded))}")
    return name


class _Quiet(WSGIRequestHandler):
    # Without it, a client that connects and says nothing would hold its thread for ever.
    timeout = SCRAPE_TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line each."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks DNS for its own name, which can hold up the start where a resolver is slow.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "metrics", self.server_address[1]
        self.setup_environ()


class _ServerV6(_Server):
    address_family = socket.AF_INET6


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


def serve_metrics(host: str, port: int, *, probes: Mapping[str, Probe] | None = None) -> MetricsServer:
    """This will serve ``/metrics`` on its own thread; a busy port makes it take the next free one.

    Args:
        host: Address to listen on.
        port: First port to try; 0 lets the system choose.
        probes: Paths answered with 200 or 503 instead of the metrics.

    Raises:
        OSError: None of the tried ports was free.
    """
    application = with_probes(make_wsgi_app(REGISTRY), probes or {})
    kind = _ServerV6 if ":" in host else _Server
    for candidate in range(port, min(port + PORTS_TRIED, 65536)) if port else [0]:
        try:
            server = MetricsServer(make_server(host, candidate, application, kind, handler_class=_Quiet))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        if candidate != port:
            log.warning("metrics.port_busy", wanted=port, taken=server.port)
        return server
    raise OSError(errno.EADDRINUSE, f"no free metrics port from {port} to {port + PORTS_TRIED - 1}")
