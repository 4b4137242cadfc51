from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY as GLOBAL_REGISTRY
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.parser import text_string_to_metric_families

from app.observability import metrics
from app.observability.metrics import MetricsServer, UnboundedLabel, counter, gauge, histogram, serve_metrics
from app.observability.tracing import configure_tracing, new_root, recorded_trace_id, shutdown_tracing
from app.settings.telemetry import TelemetrySettings
from tests.fixtures.otlp import OtlpReceiver

SEEN = counter("tocsin_test_seen_total", "Test.", ("outcome",))
TOOK = histogram("tocsin_test_took_seconds", "Test.", ("outcome",))


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = serve_metrics("127.0.0.1", 0)
    yield server
    server.close()


def scrape(server: MetricsServer, *, accept: str = "text/plain") -> str:
    answer = httpx.get(f"http://127.0.0.1:{server.port}/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    return answer.text


def test_a_scrape_shows_our_metrics_and_the_process(server: MetricsServer) -> None:
    SEEN.labels("yes").inc(3)
    families = {family.name: family for family in text_string_to_metric_families(scrape(server))}
    assert {sample.labels["outcome"] for sample in families["tocsin_test_seen"].samples} == {"yes"}
    assert families["process_cpu_seconds"].samples[0].value > 0
    assert "python_gc_objects_collected" in families


@pytest.mark.parametrize(
    "label", ["tenant", "tenant_id", "id", "incident_id", "job_id", "source_id", "alertname", "url"]
)
@pytest.mark.parametrize("declare", [counter, gauge, histogram])
def test_a_label_that_would_hold_ids_or_strangers_text_is_refused(declare: object, label: str) -> None:
    with pytest.raises(UnboundedLabel, match=label):
        declare("tocsin_test_refused", "Test.", ("outcome", label))  # type: ignore[operator]


def test_a_name_must_be_ours() -> None:
    with pytest.raises(ValueError, match="must start with tocsin_"):
        counter("requests_total", "Test.")


def test_nothing_is_declared_in_the_libraries_own_registry() -> None:
    names = [family.name for family in GLOBAL_REGISTRY.collect()]
    assert [name for name in names if name.startswith("tocsin_")] == []


def test_every_declared_metric_keeps_to_the_rule() -> None:
    import app.main  # noqa: F401 - declares the metrics of every domain

    for family in metrics.REGISTRY.collect():
        for sample in family.samples:
            unbounded = [label for label in sample.labels if label in metrics.FORBIDDEN_LABELS or label.endswith("_id")]
            assert unbounded == [], family.name


def test_histograms_carry_the_recorded_trace(server: MetricsServer, otlp: OtlpReceiver) -> None:
    configure_tracing(TelemetrySettings(otlp_endpoint=otlp.endpoint), process="test")
    try:
        with new_root("exemplar"):
            trace_id = recorded_trace_id()
            TOOK.labels("traced").observe(0.2)
    finally:
        shutdown_tracing()
    assert f'# {{trace_id="{trace_id}"}} 0.2' in scrape(server, accept=OPENMETRICS)


def test_without_a_recorded_trace_there_is_no_exemplar(server: MetricsServer) -> None:
    with new_root("unrecorded"):
        TOOK.labels("untraced").observe(0.2)
    lines = [line for line in scrape(server, accept=OPENMETRICS).splitlines() if 'outcome="untraced"' in line]
    assert lines != []
    assert [line for line in lines if "trace_id" in line] == []


def test_a_busy_port_gives_way_to_the_next_free_one(server: MetricsServer) -> None:
    with structlog.testing.capture_logs() as logs:
        second = serve_metrics("127.0.0.1", server.port)
    try:
        assert second.port > server.port
        assert "tocsin_test_seen" in scrape(second)
        assert {
            "event": "metrics.port_busy",
            "wanted": server.port,
            "taken": second.port,
            "log_level": "warning",
        } in logs
    finally:
        second.close()


def test_a_client_that_says_nothing_does_not_block_the_scrape(server: MetricsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert "tocsin_test_seen" in scrape(server)
