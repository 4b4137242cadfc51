"""Structured logs: one JSON line an event, with the ids that lead from it to everything else.

Events are static names (``incident.opened``), facts are fields. Tenant, request and job ids come from context
variables and the trace id from the current span. Control characters are escaped by JSON itself, and a field whose name says
that it is a secret never shows its value.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from app.observability.tracing import current_trace_id
from app.settings.telemetry import TelemetrySettings

_SECRET_NAME = re.compile(
    r"(secret|password|passwd|token|authorization|api_?key|pepper|cookie|credential)", re.IGNORECASE
)
# Names that match the pattern above, but hold an id or a count.
_HARMLESS = frozenset({"token_id", "token_kind", "tokens", "tokens_in", "tokens_out"})
MAX_FIELD = 8_192


def configure_logging(settings: TelemetrySettings, *, process: str) -> None:
    """This will route structlog and the standard library's logging into one stream on standard output."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_process(process),
        _add_trace,
        _redact,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if settings.log_format == "console" else _render
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), structlog.processors.format_exc_info],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "kombu", "alembic.runtime.migration", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "celery"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True


def _add_process(process: str) -> Any:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _add_trace(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    trace_id = current_trace_id()
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    return event


def _redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if name not in _HARMLESS and _SECRET_NAME.search(name):
            event[name] = "[redacted]"
        elif isinstance(value, str) and len(value) > MAX_FIELD:
            event[name] = value[:MAX_FIELD] + "…"
    return event


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):
        # A lone surrogate or an integer past 64 bits: the line must come out all the same.
        safe = {str(key): repr(value) for key, value in event.items()}
        return orjson.dumps(safe, default=repr).decode()
