"""Rules and dashboards ask only for metrics, labels and values that really exist."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import app
import workers
from app.embedded.valkey import free_port
from app.observability.generate import DASHBOARDS
from app.observability.generate.grafana import render
from app.observability.metrics import DECLARED, REGISTRY
from tests.fixtures.prometheus import running
from tests.observability_deploy.files import ROOT, all_rules, recordings
from tests.observability_deploy.promql import Selector, grouped_labels, selectors

# What Prometheus itself makes, with its labels; the test below holds the servers' own metrics against real servers.
OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity", "service"}}
FOREIGN = ("alertmanager_", "prometheus_", "node_")
# Every scraped sample has these.
TARGET_LABELS = {"job", "instance"}


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    for dashboard in DASHBOARDS:
        document = json.loads(render(dashboard))
        for panel in document["panels"]:
            for target in panel.get("targets", []):
                yield f"{dashboard.uid}: {panel['title']}", target["expr"]
        for annotation in document["annotations"]["list"]:
            yield f"{dashboard.uid}: annotations", annotation["expr"]


def expressions() -> list[tuple[str, str]]:
    return [*((rule.name, rule.data["expr"]) for rule in all_rules()), *dashboard_expressions()]


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """Each sample's name with its labels, of all processes."""
    for package in (app, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "_main", ".example")):
                importlib.import_module(module.name)
    found = {name: labels | TARGET_LABELS for name, labels in OF_PROMETHEUS.items()}
    for family in REGISTRY.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set(TARGET_LABELS)).update(sample.labels)
    for metric in DECLARED.values():
        labels = {*metric.labels, *TARGET_LABELS}
        if metric.kind == "histogram":
            found |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
            found[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            found[metric.name] = labels
    return found | {str(rule.data["record"]): set() for rule in recordings()}


def test_every_metric_and_label_that_is_asked_for_exists(known: dict[str, set[str]]) -> None:
    wrong = []
    for where, expr in expressions():
        asked = [selector for selector in selectors(expr) if not selector.name.startswith(FOREIGN)]
        for selector in asked:
            if selector.name not in known:
                wrong.append(f"{where}: no metric {selector.name}")
            wrong += [
                f"{where}: {selector.name} has no label {label}"
                for label, _ in selector.matchers
                if label not in known.get(selector.name, {label})
            ]
        within = set().union(*(known.get(selector.name, set()) for selector in asked))
        if asked and not any(selector.name.startswith(FOREIGN) for selector in selectors(expr)):
            wrong += [f"{where}: nothing to group by {label}" for label in grouped_labels(expr) - within]
    assert wrong == []


def test_every_bound_of_a_bucket_that_is_asked_for_exists(known: dict[str, set[str]]) -> None:
    asked = [
        (selector.name.removesuffix("_bucket"), value)
        for _, expr in expressions()
        for selector in selectors(expr)
        for label, value in selector.matchers
        if label == "le"
    ]
    assert asked, "the objective asks for a bound"
    assert [pair for pair in asked if pair[1] not in {str(float(bound)) for bound in DECLARED[pair[0]].buckets}] == []


def literals() -> set[str]:
    """Every text that stands in the code, in one piece."""
    sources = (path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py"))
    own = ROOT / "app" / "observability" / "generate"
    return {
        node.value
        for path in sources
        if own not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_value_of_a_label_that_is_asked_for_stands_in_the_code() -> None:
    words = literals()

    def values(selector: Selector) -> Iterator[str]:
        for label, value in selector.matchers:
            if label not in {"le", "job", "status", "__name__"} and selector.name.startswith("tocsin_"):
                yield from (part for part in value.split("|") if re.fullmatch(r"[a-z_]+", part))

    asked = {value for _, expr in expressions() for selector in selectors(expr) for value in values(selector)}
    assert {"overloaded", "published", "unknown_source"} <= asked
    # The outgoing calls' classes and the leases' endings are put together from parts.
    assert asked - words == set()


async def scraped(name: str, arguments: list[str], port: int, path: str, folder: Path) -> dict[str, set[str]]:
    """What a real server says of itself."""
    url = f"http://127.0.0.1:{port}/metrics"
    ready, log = f"http://127.0.0.1:{port}{path}", folder / f"{name}.log"
    async with running(name, arguments, ready_url=ready, log_file=log), httpx.AsyncClient() as client:
        text = (await client.get(url)).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_what_is_asked_of_other_servers_is_what_these_say(tmp_path: Path) -> None:
    first, second, third = free_port(), free_port(), free_port()
    empty = tmp_path / "prometheus.yaml"
    empty.write_text("{}")
    routes = tmp_path / "alertmanager.yaml"
    routes.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    data, notes = f"--storage.tsdb.path={tmp_path / 'data'}", f"--storage.path={tmp_path / 'notes'}"
    at = "--web.listen-address=127.0.0.1:{}".format
    quiet = "--cluster.listen-address="
    said = await scraped("prometheus", [f"--config.file={empty}", data, at(first)], first, "/-/ready", tmp_path)
    said |= await scraped(
        "prometheus-alertmanager", [f"--config.file={routes}", notes, quiet, at(second)], second, "/-/ready", tmp_path
    )
    said |= await scraped("prometheus-node-exporter", [at(third)], third, "/", tmp_path)
    foreign = [s for _, expr in expressions() for s in selectors(expr) if s.name.startswith(FOREIGN)]
    assert {selector.name for selector in foreign} - set(said) == set()
    assert [s for s in foreign if {label for label, _ in s.matchers} - said[s.name]] == []
