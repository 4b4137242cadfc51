"""OpenTelemetry: one trace from the webhook to the last effect.

A trace context travels as a W3C ``traceparent`` in the delivery's and the job's row. A sender's own traceparent never
becomes a parent at the door (it could be forged to join or to force sampling): it is only linked.

Source: W3C Trace Context, Recommendation 2021-11-23, section 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.util.types import AttributeValue

from app.settings.telemetry import TelemetrySettings

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MAX_LINKS = 128

_provider: TracerProvider | None = None


def configure_tracing(settings: TelemetrySettings, *, process: str) -> None:
    """This will start exporting spans when an OTLP endpoint is set; without one, spans cost next to nothing."""
    global _provider  # noqa: PLW0603 - OpenTelemetry's provider is one per process by design
    if not settings.otlp_endpoint or _provider is not None:
        return
    _provider = TracerProvider(
        resource=Resource.create({"service.name": f"tocsin-{process}", "service.namespace": "tocsin"}),
        sampler=ParentBased(TraceIdRatioBased(settings.trace_sample_ratio)),
    )
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    _provider.add_span_processor(
        BatchSpanProcessor(exporter, schedule_delay_millis=settings.export_interval_s * 1000, max_queue_size=8192)
    )


def shutdown_tracing() -> None:
    """This will export what is left and stop."""
    global _provider  # noqa: PLW0603 - see configure_tracing
    if _provider is not None:
        _provider.shutdown()
        _provider = None


def flush_tracing(timeout_s: float = 5.0) -> None:
    """This will export finished spans now."""
    if _provider is not None:
        _provider.force_flush(int(timeout_s * 1000))


def _tracer() -> trace.Tracer:
    return (_provider or trace.NoOpTracerProvider()).get_tracer("tocsin")


def current_traceparent() -> str | None:
    """This will return the current span as a W3C traceparent, or None outside one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def current_trace_id() -> str | None:
    """This will return the current trace's id as 32 hex digits, or None outside one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def parse_traceparent(value: str | None) -> SpanContext | None:
    """This will parse a traceparent of version 00, or return None for anything else."""
    match = _TRACEPARENT.fullmatch(value) if value is not None and len(value) == 55 else None
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & 1))
    return context if context.is_valid else None


@contextmanager
def span_from(
    traceparent: str | None,
    name: str,
    *,
    links: Sequence[str | None] = (),
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """This will open a span as a child of ``traceparent`` (or of the current span where that is None).

    Args:
        traceparent: The context that a row carried.
        name: Static name; variable parts go into attributes.
        links: Traceparents of other traces that had a part in this, at most 128 of them.
        attributes: Span attributes.
        kind: The span's kind.
    """
    parent = parse_traceparent(traceparent)
    context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
    with _tracer().start_as_current_span(
        name, context=context, links=_links(links), attributes=attributes, kind=kind
    ) as span:
        yield span


@contextmanager
def new_root(
    name: str, *, link_to: str | None = None, attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[Span]:
    """This will open a span in a trace of its own; a stranger's traceparent becomes a link at the most."""
    with _tracer().start_as_current_span(
        name, context=Context(), links=_links([link_to]), attributes=attributes, kind=SpanKind.SERVER
    ) as span:
        yield span


def _links(traceparents: Sequence[str | None]) -> list[Link]:
    found = (parse_traceparent(value) for value in traceparents[:MAX_LINKS])
    return [Link(context) for context in found if context is not None]
