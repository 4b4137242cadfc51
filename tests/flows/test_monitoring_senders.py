"""Alertmanager's PagerDuty and Opsgenie receivers with a changed URL, and Prometheus itself, on the running stack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.senders import alertmanager_with, prometheus_alerting, write_rule
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

LABELS = {"alertname": "DiskFull", "instance": "db-1", "severity": "critical"}


async def tell(alertmanager: str, *, over: bool = False) -> None:
    """Post the alert to Alertmanager's own API, as Prometheus does."""
    now = datetime.now(UTC)
    alert: dict[str, Any] = {
        "labels": LABELS,
        "annotations": {"summary": "The disk of db-1 is full"},
        "startsAt": (now - timedelta(seconds=5)).isoformat(),
    }
    async with httpx.AsyncClient() as client:
        body = [alert | ({"endsAt": now.isoformat()} if over else {})]
        (await client.post(f"{alertmanager}/api/v2/alerts", json=body)).raise_for_status()


async def until(flow: FlowTenant, state: str, *, timeout_s: float = 30) -> dict[str, Any]:
    async def reached() -> list[dict[str, Any]]:
        return [one for one in await flow.incidents() if one["state"] == state]

    found = await wait_until(reached, timeout_s=timeout_s, every_s=0.1, what=f"the incident is {state}")
    assert len(await flow.incidents()) == 1
    first: dict[str, Any] = found[0]
    return first


def receiver(kind: str, api_url: str, key: str) -> dict[str, object]:
    if kind == "pagerduty_events":
        return {"pagerduty_configs": [{"url": f"{api_url}/v2/enqueue", "routing_key": key, "send_resolved": True}]}
    return {"opsgenie_configs": [{"api_url": f"{api_url}/", "api_key": key, "priority": "P1", "send_resolved": True}]}


@pytest.mark.parametrize("kind", ["pagerduty_events", "opsgenie_api"])
async def test_alertmanagers_receiver_for_another_service(flow: FlowTenant, tmp_path: Path, kind: str) -> None:
    made = await flow.post("/v1/sources", {"kind": kind, "name": kind})
    async with alertmanager_with(tmp_path, receiver(kind, flow.stack.api_url, made["secret"])) as alertmanager:
        await tell(alertmanager)
        incident = await until(flow, "open")
        assert "DiskFull" in incident["title"]
        assert incident["severity"] == ("P1" if kind == "pagerduty_events" else "P0")
        await tell(alertmanager, over=True)
        await until(flow, "resolved")
    assert "level=error" not in (tmp_path / "alertmanager.log").read_text()


async def test_prometheus_itself_without_an_alertmanager(flow: FlowTenant, tmp_path: Path) -> None:
    made = await flow.post("/v1/sources", {"kind": "prometheus", "name": "prometheus"})
    target = {
        "path_prefix": made["source"]["url_path"],
        "authorization": {"credentials": made["secret"]},
        "static_configs": [{"targets": [flow.stack.api_url.removeprefix("http://")]}],
    }
    async with prometheus_alerting(tmp_path, alertmanager=target, expr="up == 1") as rules:
        incident = await until(flow, "open")
        assert (incident["alert_name"], incident["severity"]) == ("SelfTest", "P1")
        write_rule(rules, "up == 2")
        async with httpx.AsyncClient() as client:
            (await client.post(f"{(tmp_path / 'prometheus.url').read_text()}/-/reload")).raise_for_status()
        await until(flow, "resolved")
    [alert] = (await flow.get("/v1/alerts"))["items"]
    assert alert["resolve_reason"].startswith("prometheus says")
