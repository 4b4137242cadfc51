from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from app.observability.logging import configure_logging
from app.observability.scrubbing import MAX_TEXT, REDACTED, escape_unsafe, scrub
from app.observability.tracing import current_trace_id, new_root
from app.settings.telemetry import TelemetrySettings

HOSTILE = 'x\r\n{"event":"forged"}\x1b[31mred\x00\x85\u2028\u202e\ufeff'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is the process's own: what configure_logging changes is put back."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = kept
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def logged(restored: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """A function that returns what was logged so far, parsed."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    configure_logging(TelemetrySettings(), process="test")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


Logged = Callable[[], list[dict[str, Any]]]


def test_a_line_carries_the_ids_that_lead_on(logged: Logged) -> None:
    with bound_contextvars(tenant_id="t1", request_id="r1", job_id="j1"), new_root("here"):
        trace_id = current_trace_id()
        structlog.get_logger().info("incident.opened", incident_id="i1")
    (line,) = logged()
    assert (
        line
        | {
            "event": "incident.opened",
            "incident_id": "i1",
            "tenant_id": "t1",
            "request_id": "r1",
            "job_id": "j1",
            "trace_id": trace_id,
            "level": "info",
            "process": "test",
        }
        == line
    )


def test_hostile_text_stays_one_line_and_comes_back_whole(logged: Logged) -> None:
    structlog.get_logger().info("alert.received", title=HOSTILE)
    logging.getLogger("uvicorn.error").warning("bad request %s", HOSTILE)
    ours, theirs = logged()
    assert ours["title"] == HOSTILE
    assert theirs["event"] == f"bad request {HOSTILE}"


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "celery", "sqlalchemy.pool", "anything.else"])
def test_the_standard_library_goes_the_same_way(logged: Logged, name: str) -> None:
    logging.getLogger(name).warning("plain %d", 7, extra={"password": "p", "size_bytes": 3})
    (line,) = logged()
    assert line["event"] == "plain 7"
    assert line["logger"] == name
    assert (line["password"], line["size_bytes"]) == (REDACTED, 3)


def test_warnings_are_lines_too(logged: Logged) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old option", stacklevel=1)
        logging.captureWarnings(False)
    assert "old option" in logged()[0]["event"]


def test_an_error_is_one_line_with_its_stack_and_without_its_secrets(logged: Logged) -> None:
    try:
        raise RuntimeError("cannot reach postgresql://app:hunter2@db/tocsin with Bearer abcdef123456")
    except RuntimeError:
        structlog.get_logger().exception("request.crashed")
    (line,) = logged()
    assert "Traceback" in line["exception"]
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in line["exception"]
    assert "abcdef123456" not in line["exception"]


def test_a_crash_of_the_process_or_a_thread_is_a_line(logged: Logged) -> None:
    sys.excepthook(ValueError, ValueError("gone"), None)
    thread = threading.Thread(target=lambda: int("none"))
    thread.start()
    thread.join()
    crashed, thread_crashed = logged()
    assert (crashed["event"], crashed["level"]) == ("process.crashed", "critical")
    assert thread_crashed["event"] == "thread.crashed"
    assert "ValueError" in thread_crashed["exception"]


def test_the_level_is_kept(logged: Logged) -> None:
    structlog.get_logger().debug("too.quiet")
    logging.getLogger("httpx").info("too quiet")
    assert logged() == []


def test_people_get_colours_on_a_terminal_and_no_escapes_of_strangers(
    restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    configure_logging(TelemetrySettings(log_format="console"), process="test")
    structlog.get_logger().info("alert.received", title=HOSTILE)
    text = terminal.getvalue()
    assert "alert.received" in text
    assert "\x1b[31mred" not in text
    assert "\\u001b[31mred" in text
    assert "\r" not in text


def test_console_format_without_a_terminal_is_json(restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    configure_logging(TelemetrySettings(log_format="console"), process="test")
    structlog.get_logger().info("a.b")
    assert json.loads(stream.getvalue())["event"] == "a.b"


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "token", "access_token", "Authorization", "api_key", "apiKey", "cookie", "secret_id"],
)
def test_secrets_are_redacted_by_name_at_any_depth(name: str) -> None:
    assert scrub({"a": [{"b": {name: "s3cret"}}]}) == {"a": [{"b": {name: REDACTED}}]}


@pytest.mark.parametrize("name", ["token_id", "tokens_in", "title", "key"])
def test_harmless_names_keep_their_values(name: str) -> None:
    assert scrub({name: "value"}) == {name: "value"}


def test_a_long_text_keeps_both_ends() -> None:
    shown = scrub("begin" + "x" * 100_000 + "end")
    assert isinstance(shown, str)
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert len(shown) <= MAX_TEXT + 1


def test_a_value_whose_repr_raises_costs_no_line() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise OSError

    assert scrub(Broken()) == "<Broken whose repr raises OSError>"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_is_logged_is_one_line_of_json(value: object) -> None:
    from app.observability.logging import _render, _scrub

    line = _render(None, "info", _scrub(None, "info", {"event": "x", "value": value}))
    assert len(line.splitlines()) == 1
    assert escape_unsafe(line) == line
    assert json.loads(line)["event"] == "x"
