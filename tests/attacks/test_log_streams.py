"""B12: a log's stream that cannot hold what strangers write: no line is lost for it, and nothing raises."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from app.observability.logging import configure_logging
from app.settings.telemetry import TelemetrySettings

ODD = {
    "emoji": "\U0001f525 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "umlaut": "Gerät überhitzt",
    "lone surrogate": "a\ud800b",
    "surrogateescape": b"\xff\xfe".decode("utf-8", "surrogateescape"),
    "the other direction": "\u202egnp.exe",
    "a c1 control": "a\x9bb",
}


@contextmanager
def narrow_stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What is written to a standard output that takes ASCII alone and raises for the rest, as under ``LC_ALL=C``.

    No fixture: what the test runner listens with is put on after those, and could not pass such texts on.
    """
    raw = io.BytesIO()
    root = logging.getLogger()
    kept = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict", write_through=True))
    configure_logging(TelemetrySettings(), process="test")
    try:
        yield raw
    finally:
        root.handlers[:], root.level, sys.excepthook, threading.excepthook = kept
        logging.captureWarnings(False)
        structlog.reset_defaults()


@pytest.mark.attack("B12")
@pytest.mark.parametrize("kind", sorted(ODD))
def test_a_stream_that_cannot_encode_a_text_gets_its_line(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    complaints = io.StringIO()
    monkeypatch.setattr(sys, "stderr", complaints)
    with narrow_stream(monkeypatch) as stream:
        structlog.get_logger().warning("alert.odd", title=ODD[kind], **{"label " + ODD[kind]: 1})
        logging.getLogger("uvicorn.error").error("plain %s", ODD[kind])
        try:
            raise ValueError(ODD[kind])
        except ValueError:
            structlog.get_logger().exception("alert.failed")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"].split()[0] for line in lines] == ["alert.odd", "plain", "alert.failed"]
    assert complaints.getvalue() == "", "the handler gave up on a line"
