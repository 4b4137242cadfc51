"""Structured logs: one JSON line an event, with the ids that lead from it to everything else.

Events are static names (``incident.opened``), facts are fields. Tenant, request and job ids come from context
variables and the trace id from the current span. The standard library's loggers (uvicorn's, Celery's, SQLAlchemy's)
go through the same pipe.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.observability.scrubbing import REDACTED, clean_text, escape_unsafe, is_secret_name, scrub
from app.observability.tracing import current_trace_id
from app.settings.telemetry import TelemetrySettings

NOISY = ("uvicorn.access", "httpx", "httpcore", "kombu", "alembic.runtime.migration", "urllib3", "asyncio")
ADOPTED = ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "kombu")
# The handler's own bookkeeping between structlog and the standard library; removed before rendering.
_META = frozenset({"_record", "_from_structlog", "exc_info"})


def configure_logging(settings: TelemetrySettings, *, process: str) -> None:
    """This will route structlog and the standard library's logging into one stream on standard output.

    Args:
        settings: Level and format; people's format is used only on a terminal.
        process: Name of the process's kind, on every line.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_process(process),
        _add_trace,
        structlog.processors.format_exc_info,
        _scrub,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    for_people = settings.log_format == "console" and sys.stdout.isatty()
    renderer: Processor = _for_people() if for_people else _render
    _write_anything(for_people=for_people)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    _adopt(handler, settings.log_level)
    _log_crashes()


def _write_anything(*, for_people: bool) -> None:
    """Have standard output take every text, as under ``LC_ALL=C`` it would raise and the line be lost.

    JSON is UTF-8 (RFC 8259, 8.1); a person's terminal keeps its own encoding and shows the rest escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if for_people else "utf-8", errors="backslashreplace")


def _adopt(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ADOPTED:
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _log_crashes() -> None:
    """Make an unhandled error one line as well, in the main thread and in every other."""
    log = structlog.get_logger("tocsin")

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("process.crashed", exc_info=(kind, error, trace))

    def thread_crashed(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log.critical("thread.crashed", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    sys.excepthook = crashed
    threading.excepthook = thread_crashed


def _add_process(process: str) -> Processor:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _add_trace(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    trace_id = current_trace_id()
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    return event


def _scrub(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {
        clean_text(str(name)) if name not in _META else name: (
            value if name in _META else REDACTED if is_secret_name(str(name)) else scrub(value)
        )
        for name, value in event.items()
    }


def _for_people() -> Processor:
    paint = structlog.dev.ConsoleRenderer()

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        # Escaped field by field, as the renderer's own colours are escape sequences too.
        calm = {name: escape_unsafe(value) if isinstance(value, str) else value for name, value in event.items()}
        return str(paint(logger, method, calm))

    return render


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    # After scrubbing only JSON's own types are left; anything that slipped in still gives a line.
    line: Any = orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    return escape_unsafe(line.decode())
