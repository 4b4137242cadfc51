"""Kapacitor's alert data, as its ``post`` event handler sends it.

Source: Kapacitor v1 reference, "Post (HTTP) event handler" and "AlertNode", and ``alert.Data`` of Kapacitor 1.8, read
2026-11: ``id``, ``message``, ``details`` (HTML), ``time``, ``duration`` in nanoseconds, ``level`` and ``previousLevel``
(OK, INFO, WARNING, CRITICAL), ``data.series`` with ``name``, ``tags``, ``columns`` and ``values``, ``recoverable``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.incidents.schemas import AlertEvent, AlertStatus, Severity
from app.ingest.contract import COMMON_SEVERITIES, AlertSource, NoConfig, ParseError, load_object
from app.ingest.rules import values
from app.ingest.rules.fields import bounded, description_of, object_at, objects_at, said, text_at, text_of
from app.ingest.rules.html_text import html_to_text

_LEVELS = frozenset({"info", "warning", "critical"})
_SHOWN_SERIES = 10
_SHOWN_COLUMNS = 10
_DURATION_MAX_S = 10 * 366 * 86_400


def parse(body: bytes, headers: Mapping[str, str], config: NoConfig) -> list[AlertEvent]:
    """This will return the one event of the alert.

    Raises:
        ParseError: No JSON object, or one without id or level.
    """
    alert = load_object(body)
    warnings: list[str] = []
    key, level = text_at(alert, "id", limit=4096), text_at(alert, "level", limit=40)
    if not key or not level:
        raise ParseError("body.unexpected_shape", "no alert data: 'id' and 'level' are needed; send no alert template")
    status = _status(level, warnings)
    at = values.parse_time(alert.get("time"))
    if at is None:
        warnings.append("no usable time: the time of delivery counts")
    series = objects_at(object_at(alert, "data"), "series")
    return [
        AlertEvent(
            dedup_key=key,
            status=status,
            title=text_at(alert, "message", limit=values.TITLE_MAX) or f"{key} is {level}",
            description=_description(alert, series),
            raw_severity=level,
            event_time=at,
            starts_at=_began(at, alert.get("duration")),
            ends_at=at if status is AlertStatus.RESOLVED else None,
            labels={"alertname": key[: values.LABEL_VALUE_MAX], **_labels(series)},
            annotations=said({"previous_level": text_at(alert, "previousLevel", limit=40)}),
            warnings=bounded(warnings),
        )
    ]


def _status(level: str, warnings: list[str]) -> AlertStatus:
    if level.lower() == "ok":
        return AlertStatus.RESOLVED
    if level.lower() not in _LEVELS:
        warnings.append(f"level {level!r} is not known: taken as firing")
    return AlertStatus.FIRING


def _began(at: datetime | None, duration_ns: object) -> datetime | None:
    if at is None or isinstance(duration_ns, bool) or not isinstance(duration_ns, int | float):
        return at
    seconds = duration_ns / 1e9
    return at - timedelta(seconds=seconds) if 0 <= seconds <= _DURATION_MAX_S else at


def _labels(series: list[dict[str, Any]]) -> dict[str, str]:
    """This will return the tags that all series have in common, and the measurement."""
    labels: dict[str, str] = {}
    if series:
        labels = values.clean_mapping(series[0].get("tags"))
        for other in series[1:_SHOWN_SERIES]:
            tags = values.clean_mapping(other.get("tags"))
            labels = {name: value for name, value in labels.items() if tags.get(name) == value}
        labels |= said({"measurement": text_at(series[0], "name")})
    return labels


def _description(alert: Mapping[str, Any], series: list[dict[str, Any]]) -> str:
    details = alert.get("details")
    text = values.clean_text(details, limit=values.DESCRIPTION_MAX) if isinstance(details, str) else ""
    prose = html_to_text(text)
    # The default of ``details`` is the whole alert once more, as escaped JSON: nothing that anyone reads at night.
    parts = [] if prose.startswith("{") else [prose]
    parts += [_measured(one) for one in series[:_SHOWN_SERIES]]
    return description_of(parts)


def _measured(series: Mapping[str, Any]) -> str:
    """This will write out the last row of a series: ``cpu (host=a): usage_idle=3.2``."""
    columns, rows = series.get("columns"), series.get("values")
    if not isinstance(columns, list) or not isinstance(rows, list) or not rows or not isinstance(rows[-1], list):
        return ""
    named = list(zip(columns, rows[-1], strict=False))[:_SHOWN_COLUMNS]
    pairs = [
        f"{text_of(name, limit=100)}={text_of(value, limit=200)}"
        for name, value in named
        if name != "time" and value is not None
    ]
    tags = values.clean_mapping(series.get("tags"), value_limit=100)
    where = ", ".join(f"{name}={value}" for name, value in list(tags.items())[:_SHOWN_COLUMNS])
    name = text_at(series, "name", limit=100) or "value"
    return f"{name} ({where}): {', '.join(pairs)}" if where else f"{name}: {', '.join(pairs)}"


SOURCE = AlertSource(
    slug="kapacitor",
    title="Kapacitor",
    profile="bearer",
    parse=parse,
    severities={**COMMON_SEVERITIES, "ok": Severity.P3},
    example={
        "id": "cpu:host=web-1",
        "message": "cpu:host=web-1 is CRITICAL",
        "details": "",
        "time": "2026-01-05T12:00:00Z",
        "duration": 0,
        "level": "CRITICAL",
        "data": {
            "series": [
                {
                    "name": "cpu",
                    "tags": {"host": "web-1"},
                    "columns": ["time", "usage_idle"],
                    "values": [["2026-01-05T12:00:00Z", 3.2]],
                }
            ]
        },
        "previousLevel": "OK",
        "recoverable": True,
    },
    document="https://docs.influxdata.com/kapacitor/v1/reference/event_handlers/post/",
    document_date="2026-11-21",
    setup='In kapacitor.conf add [[httppost]] with endpoint = "tocsin", url = the address and headers = '
    "{ Authorization = \"Bearer <secret>\" }, without alert-template; then .post().endpoint('tocsin') on the alert node "
    "or kind: post in a topic handler. Keep recoveries on (no .noRecoveries()), so that OK resolves the alert.",
)
