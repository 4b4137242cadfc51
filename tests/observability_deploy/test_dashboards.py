"""The dashboards in the repository are those of the code, and Prometheus understands every panel."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.observability.generate import DASHBOARDS
from app.observability.generate.__main__ import main
from app.observability.generate.grafana import Dashboard, render
from tests.fixtures.prometheus import Tool
from tests.observability_deploy.files import DEPLOY
from tests.observability_deploy.promql import plain
from tests.observability_deploy.test_names import dashboard_expressions

GRAFANA = DEPLOY / "grafana"
# The guides' panels, by a word of their titles (E17, C15).
PROMISED = {
    "tocsin-operations": [
        "API latency",
        "Queue depth",
        "Worker health",
        "Database connections",
        "Error rate",
        "Processor time",
        "Memory",
        "Calls to other systems",
        "Webhooks that prove nothing",
        "Tokens refused",
    ],
    "tocsin-baseline": ["Average rating", "Sentiment", "From ticket to note", "Throughput", "Success rate"],
}


def panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render(dashboard))["panels"]
    assert found
    return found


def test_the_files_are_what_the_code_writes(tmp_path: Path) -> None:
    main([str(tmp_path)])
    written = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    assert {path.name: path.read_text() for path in GRAFANA.glob("*.json")} == written, (
        "run python -m app.observability.generate"
    )


def test_every_expression_is_one_that_prometheus_takes(promtool: Tool, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": plain(e)} for number, (_, e) in enumerate(dashboard_expressions())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool.must("check", "rules", file)


def test_an_expression_that_is_none_is_found(promtool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": [{"record": "a", "expr": "sum by ("}]}]}))
    assert promtool.ask("check", "rules", file).returncode != 0


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_what_the_guides_show_is_shown(dashboard: Dashboard) -> None:
    titles = {panel["title"] for panel in panels(dashboard)}
    assert [title for title in PROMISED[dashboard.uid] if title not in titles] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_panels_say_what_they_show_and_lie_side_by_side(dashboard: Dashboard) -> None:
    shown = panels(dashboard)
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert [panel["title"] for panel in shown if panel["type"] != "row" and len(panel["description"]) < 20] == []
    places = [(panel["title"], panel["gridPos"]) for panel in shown]
    assert [title for title, at in places if at["x"] + at["w"] > 24] == []
    assert [(one, two) for (one, a), (two, b) in combinations(places, 2) if _overlap(a, b)] == []


def _overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    return not (beside or below)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_colours_follow_the_figures_upwards(dashboard: Dashboard) -> None:
    for panel in panels(dashboard):
        if panel["type"] != "row":
            values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
            assert values[0] is None
            assert values[1:] == sorted(values[1:]), panel["title"]


def test_grafana_is_told_where_the_dashboards_and_the_figures_are() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/tocsin.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/tocsin.yaml").read_text())["datasources"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    for dashboard in DASHBOARDS:
        (variable,) = json.loads(render(dashboard))["templating"]["list"]
        assert variable["query"] == source["type"]
    scraping = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraping
