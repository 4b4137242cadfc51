"""The capacity page: what it plans with is on the safe side of what was measured, and its table follows from that."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
ALERTS_PER_DELIVERY = 10


def number(text: str) -> float:
    found = re.match(r"[\d,.]+", text)
    assert found is not None, text
    return float(found[0].rstrip(",.").replace(",", ""))


def rows(head: str) -> dict[str, list[str]]:
    """The rows of the table that begins with ``head``, by their first cell."""
    lines = PAGE[PAGE.index(head) :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


@pytest.fixture(scope="module")
def plan() -> list[float]:
    """What is planned with: api, worker, worker with single alerts, microseconds a delivery and an alert."""
    return [number(cells[0]) for cells in list(rows("| Figure |").values())[:5]]


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "bench" / "results" / "latest.json").read_text(encoding="utf-8"))
    return found


def test_plans_are_made_with_less_than_was_ever_measured(plan: list[float], measured: dict[str, Any]) -> None:
    api, worker, single, delivery_us, alert_us = plan
    runs = measured["benchmarks"]
    assert api <= runs["ingest"]["tocsin_per_s"]["min"]
    assert worker <= measured["storm_alerts_per_s_per_worker"]
    assert single <= runs["latency"]["single_alert_deliveries_per_s"] / 2
    assert delivery_us >= runs["ingest"]["postgres_cpu_us_per_delivery"]["max"]
    assert alert_us >= runs["storm"]["postgres_cpu_us_per_alert"]


def test_the_table_follows_from_the_plan(plan: list[float]) -> None:
    api, worker, _, delivery_us, alert_us = plan
    table = rows("| | 1,000 alerts/s")
    for column, alerts in enumerate((1_000, 10_000, 100_000)):
        deliveries = alerts / ALERTS_PER_DELIVERY
        cores = 2 * (deliveries * delivery_us + alerts * alert_us) / 1e6
        assert number(table["deliveries/s at `n` = 10"][column]) == deliveries
        assert number(table["api processes"][column]) == max(2, math.ceil(deliveries / api))
        assert number(table["workers for intake"][column]) == max(2, math.ceil(alerts / worker))
        assert number(table["PostgreSQL cores"][column]) == math.ceil(cores)


def test_the_formulas_say_the_same_numbers(plan: list[float]) -> None:
    for value in plan:
        assert PAGE.count(f"{value:,.0f}") >= 2, f"{value:,.0f} is planned with and stands in no formula"
