"""OpenTelemetry: one trace from the webhook to the last effect.

A trace context travels as a W3C ``traceparent`` in the delivery's and the job's row. A sender's own traceparent never
becomes a parent at the door (it could be forged to join or to force sampling): it is only linked.

Without a receiver, spans are made but not recorded: ids still travel, so log lines of one flow share a trace id.

Source: W3C Trace Context, Recommendation 2021-11-23, section 3.2.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context, attach, create_key, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from app.core.errors import NotYet
from app.settings.telemetry import TelemetrySettings

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MAX_TRACEPARENT = 55
MAX_LINKS = 128
LIMITS = SpanLimits(
    max_span_attributes=64, max_events=32, max_links=MAX_LINKS, max_link_attributes=4, max_attribute_length=2048
)
SPANS_BUFFERED = 8192

Attributes = Mapping[str, AttributeValue]


class _Tracing:
    """The process's tracer, which ``configure_tracing`` exchanges; None while spans are not recorded."""

    def __init__(self) -> None:
        self.provider: TracerProvider | None = None
        self.tracer: trace.Tracer | None = None
        self.chosen_below = 0

    def use(self, provider: TracerProvider | None, *, share: float = 1.0) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("tocsin") if provider is not None else None
        self.chosen_below = TraceIdRatioBased.get_bound_for_rate(share)


_CHOSEN = create_key("tocsin-chosen")
_tracing = _Tracing()
_ids = RandomIdGenerator()


def configure_tracing(settings: TelemetrySettings, *, process: str) -> None:
    """This will start exporting spans when an OTLP endpoint is set; a second call changes nothing.

    Args:
        settings: Where to send spans and how many to record.
        process: ``api``, ``relay`` or ``worker``; becomes the service's name.
    """
    if not settings.otlp_endpoint or _tracing.provider is not None:
        return
    # Brings Protocol Buffers along, which a process without a receiver does without.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": f"tocsin-{process}",
                "service.namespace": "tocsin",
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        ),
        # Whether a trace is recorded is decided before its first span is made, in _unrecorded.
        sampler=ParentBased(ALWAYS_ON),
        span_limits=LIMITS,
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
        headers={name: value.get_secret_value() for name, value in settings.otlp_headers.items()},
        timeout=settings.export_timeout_s,
    )
    # A full buffer drops spans rather than hold up work: telemetry must never slow the service down.
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=SPANS_BUFFERED, schedule_delay_millis=settings.export_interval_s * 1000
        )
    )
    _tracing.use(provider, share=settings.trace_sample_ratio)


def shutdown_tracing() -> None:
    """This will export what is left, for at most the export's time-out, and stop."""
    provider = _tracing.provider
    _tracing.use(None)
    if provider is not None:
        provider.shutdown()


def flush_tracing(timeout_s: float = 5.0) -> None:
    """This will export finished spans now."""
    if _tracing.provider is not None:
        _tracing.provider.force_flush(int(timeout_s * 1000))


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


def recorded_trace_id() -> str | None:
    """This will return the current trace's id only where its spans are recorded, so that a receiver has it."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None


def parse_traceparent(value: str | None) -> SpanContext | None:
    """This will parse a traceparent of version 00, or return None for anything else."""
    match = _TRACEPARENT.fullmatch(value) if value is not None and len(value) == MAX_TRACEPARENT else None
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
    attributes: Attributes | None = None,
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
    with _open(name, context, links, attributes, kind) as span:
        yield span


@contextmanager
def new_root(
    name: str, *, link_to: str | None = None, attributes: Attributes | None = None, chosen: bool = False
) -> Iterator[Span]:
    """This will open a span in a trace of its own; a stranger's traceparent becomes a link at the most.

    Args:
        name: Static name.
        link_to: Traceparent to link.
        attributes: Span attributes.
        chosen: True records it whatever the share: ``unrecorded_root`` has drawn already.
    """
    context = Context({_CHOSEN: True}) if chosen else Context()
    with _open(name, context, (link_to,), attributes, SpanKind.SERVER) as span:
        yield span


def unrecorded_root() -> str | None:
    """This will return the traceparent of a new root that is not to be recorded, for paths that count microseconds.

    None where the draw fell on recording: then open one with ``new_root(..., chosen=True)``.
    """
    trace_id = _ids.generate_trace_id()
    if _tracing.tracer is not None and trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < _tracing.chosen_below:
        return None
    return f"00-{trace_id:032x}-{_ids.generate_span_id():016x}-00"


@contextmanager
def _open(
    name: str, context: Context | None, links: Sequence[str | None], attributes: Attributes | None, kind: SpanKind
) -> Iterator[Span]:
    tracer, unrecorded = _tracing.tracer, _unrecorded(context)
    if tracer is None or unrecorded is not None:
        span: Span = NonRecordingSpan(unrecorded or _unrecorded_child(context))
    else:
        span = tracer.start_span(name, context=context, links=_links(links), attributes=attributes, kind=kind)
    token = attach(trace.set_span_in_context(span))
    try:
        yield span
    except NotYet:
        span.set_attribute("tocsin.later", True)
        raise
    except BaseException as error:
        # Only the type: messages of database and HTTP errors quote parameters, which may be secrets.
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        detach(token)
        span.end()


def _unrecorded(context: Context | None) -> SpanContext | None:
    """Decide whether a span is recorded, before it is made: the identity of one that is not, None for one that is.

    A child does as its parent does; of the roots, the share of the settings is drawn. Not recording costs a few microseconds
    here, and twenty in the SDK.
    """
    if trace.get_current_span(context).get_span_context().is_valid:
        child = _unrecorded_child(context)
        return None if child.trace_flags.sampled else child
    if context is not None and context.get(_CHOSEN):
        return None
    trace_id = _ids.generate_trace_id()
    if trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < _tracing.chosen_below:
        return None
    return SpanContext(trace_id, _ids.generate_span_id(), is_remote=False)


def _unrecorded_child(context: Context | None) -> SpanContext:
    """A span's identity without the span: a third of the cost of the SDK's own way of not recording."""
    parent = trace.get_current_span(context).get_span_context()
    if parent.is_valid:
        return SpanContext(parent.trace_id, _ids.generate_span_id(), is_remote=False, trace_flags=parent.trace_flags)
    return SpanContext(_ids.generate_trace_id(), _ids.generate_span_id(), is_remote=False)


def _links(traceparents: Sequence[str | None]) -> list[Link]:
    found = (parse_traceparent(value) for value in traceparents[:MAX_LINKS])
    return [Link(context) for context in found if context is not None]
