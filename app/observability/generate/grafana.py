"""A small typed builder of Grafana dashboards: only what ours need, laid out from left to right.

Source: Grafana's dashboard JSON model, schema version 39 (documentation of Grafana 11, read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

SCHEMA_VERSION: Final = 39
COLUMNS: Final = 24
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Kind(StrEnum):
    """How a panel shows its figures."""

    STAT = "stat"
    TIME_SERIES = "timeseries"


class Unit(StrEnum):
    """Grafana's names of units."""

    COUNT = "short"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    PER_SECOND = "cps"
    STARS = "none"


@dataclass(frozen=True)
class Query:
    """One expression.

    Attributes:
        expr: PromQL; ``$__rate_interval`` is Grafana's.
        legend: Label names in double braces, or plain words.
        exemplars: Shows the traces behind a histogram.
    """

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Limits:
    """Where a figure stops being good, and where it is a red flag; ``higher_is_better`` turns both round."""

    warn: float
    flag: float
    higher_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture.

    Attributes:
        about: What it shows and what its target is; a person reads it when they hover.
        width: Of 24 columns.
    """

    title: str
    about: str
    queries: Sequence[Query]
    kind: Kind = Kind.TIME_SERIES
    unit: Unit = Unit.COUNT
    limits: Limits | None = None
    width: int = 8
    height: int = 8
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A page of rows. ``uid`` is also its file's name, and what links point to."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    tags: Sequence[str] = field(default_factory=lambda: ("tocsin",))


def stat(title: str, about: str, expr: str, *, unit: Unit = Unit.COUNT, limits: Limits | None = None) -> Panel:
    """This will return a single figure, six to a line."""
    return Panel(
        title=title, about=about, queries=[Query(expr)], kind=Kind.STAT, unit=unit, limits=limits, width=4, height=4
    )


def rates(metric: str, by: str, matchers: str = "") -> list[Query]:
    """This will return how fast a counter grows a second, a line for each value of the label ``by``."""
    return _each("rate", metric, by, matchers, "$__rate_interval")


def counts(metric: str, by: str, matchers: str = "", *, over: str = "1h") -> list[Query]:
    """This will return by how much a counter grew within ``over``, a line for each value of the label ``by``."""
    return _each("increase", metric, by, matchers, over)


def _each(function: str, metric: str, by: str, matchers: str, over: str) -> list[Query]:
    series = f"{metric}{{{matchers}}}" if matchers else metric
    return [Query(f"sum by ({by}) ({function}({series}[{over}]))", f"{{{{{by}}}}}")]


def quantiles(metric: str, by: str = "", *, shares: Sequence[float] = (0.5, 0.95, 0.99)) -> list[Query]:
    """This will return what that share of a histogram stays under: the half, the worst twentieth and the worst hundredth.

    Args:
        metric: Its name without ``_bucket``.
        by: A further label to keep apart.
    """
    labels, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({metric}_bucket[$__rate_interval]))"
    return [
        Query(f"histogram_quantile({share}, {rate})", f"{legend}p{round(share * 100)}", exemplars=share == 0.99)
        for share in shares
    ]


def render(dashboard: Dashboard) -> str:
    """This will return the dashboard as JSON, the same bytes for the same dashboard."""
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [_datasource_variable()]},
        "annotations": {"list": [_firing_alerts()]},
        "links": [_other_dashboards()],
        "panels": _laid_out(dashboard.rows),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            panels.append(_panel(panel, number=len(panels) + 1, place=place))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return panels


def _panel(panel: Panel, *, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit.value, "thresholds": _thresholds(panel.limits)}
    if panel.kind is Kind.TIME_SERIES:
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 5,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
        }
    else:
        defaults["color"] = {"mode": "thresholds"}
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
        "targets": [_target(query, number, panel.kind) for number, query in enumerate(panel.queries)],
    }


def _options(kind: Kind) -> dict[str, Any]:
    if kind is Kind.STAT:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "area"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _target(query: Query, number: int, kind: Kind) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": kind is Kind.STAT,
        "range": kind is not Kind.STAT,
        "exemplar": query.exemplars,
    }


def _thresholds(limits: Limits | None) -> dict[str, Any]:
    good, warn, flag = "green", "orange", "red"
    if limits is None:
        steps: list[dict[str, Any]] = [{"color": good, "value": None}]
    elif limits.higher_is_better:
        steps = [
            {"color": flag, "value": None},
            {"color": warn, "value": limits.flag},
            {"color": good, "value": limits.warn},
        ]
    else:
        steps = [
            {"color": good, "value": None},
            {"color": warn, "value": limits.warn},
            {"color": flag, "value": limits.flag},
        ]
    return {"mode": "absolute", "steps": steps}


def _datasource_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _firing_alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "expr": 'ALERTS{service="tocsin",alertstate="firing",alertname!="Watchdog"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
        "iconColor": "red",
    }


def _other_dashboards() -> dict[str, Any]:
    return {"title": "Tocsin", "type": "dashboards", "tags": ["tocsin"], "asDropdown": False, "keepTime": True}
