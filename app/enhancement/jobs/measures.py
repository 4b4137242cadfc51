"""What the pipeline counts. Labels are codes of ours, never a tenant's text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from app.observability.metrics import counter, histogram
from app.observability.tracing import get_tracer

OUTCOMES = counter(
    "tocsin_enhancement_outcomes_total", "Enhancements that ended, by outcome and reason.", ("outcome", "reason")
)
DURATION = histogram(
    "tocsin_enhancement_duration_seconds", "Seconds from the ticket's webhook to the published note.", ("method",)
)
STAGE = histogram("tocsin_enhancement_stage_seconds", "Seconds in one stage of the pipeline.", ("stage",))
CLAIMS = counter("tocsin_enhancement_claims_total", "Claims of a model, by what the validator said.", ("verdict",))
MODEL_CALLS = counter("tocsin_enhancement_model_calls_total", "Model uses by how they ended.", ("outcome",))
SOURCES = counter(
    "tocsin_enhancement_sources_total", "Context sources asked, by how they answered.", ("source", "outcome")
)

_tracer = get_tracer("tocsin")


@contextmanager
def stage(name: str, **attributes: str) -> Iterator[None]:
    """This will wrap one stage into a span and time it."""
    started = monotonic()
    with _tracer.start_as_current_span(f"enhancement.{name}", attributes=attributes):
        try:
            yield
        finally:
            STAGE.labels(name).observe(monotonic() - started)
