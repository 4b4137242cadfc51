"""What the pipeline counts. Labels are codes of ours, never a tenant's text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from app.observability.metrics import counter, histogram
from app.observability.tracing import span_from

OUTCOMES = counter(
    "tocsin_enhancement_outcomes_total", "Enhancements that ended, by outcome and reason.", ("outcome", "reason")
)
# The target is 60 s for 95 of 100, so the buckets are dense around it.
_LONG_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0)
DURATION = histogram(
    "tocsin_enhancement_duration_seconds",
    "Seconds from the ticket's webhook to the published note.",
    ("method",),
    buckets=_LONG_BUCKETS,
)
STAGE = histogram(
    "tocsin_enhancement_stage_seconds", "Seconds in one stage of the pipeline.", ("stage",), buckets=_LONG_BUCKETS
)
CLAIMS = counter("tocsin_enhancement_claims_total", "Claims of a model, by what the validator said.", ("verdict",))
MODEL_CALLS = counter("tocsin_enhancement_model_calls_total", "Model uses by how they ended.", ("outcome",))
SOURCES = counter(
    "tocsin_enhancement_sources_total", "Context sources asked, by how they answered.", ("source", "outcome")
)


@contextmanager
def stage(name: str, **attributes: str) -> Iterator[None]:
    """This will wrap one stage into a span and time it."""
    started = monotonic()
    with span_from(None, f"enhancement.{name}", attributes=attributes):
        try:
            yield
        finally:
            STAGE.labels(name).observe(monotonic() - started)
