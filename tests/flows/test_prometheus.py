"""A real Prometheus without an Alertmanager: one rule fires and is over, and so is its incident."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.fixtures.prometheus import running
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant

# Prometheus learns where its Alertmanagers are 5 s after its start, and what it sent before is lost to it.
FIRES_FOR_S = 12

CONFIGURATION = """
global: {{evaluation_interval: 1s}}
rule_files: ["{rules}"]
alerting:
  alertmanagers:
    - scheme: http
      path_prefix: "{path}"
      authorization: {{credentials: "{secret}"}}
      static_configs: [{{targets: ["{target}"]}}]
"""
# No scrape is needed for a condition that its clock fulfils for some seconds.
RULES = """
groups:
  - name: tocsin
    rules:
      - alert: ClockBefore
        expr: "vector(time()) < {until}"
        labels: {{severity: critical, instance: shop-1}}
        annotations: {{summary: "The clock of shop-1 is early"}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_what_prometheus_sends_by_itself_opens_and_closes_one_incident(flow: FlowTenant, tmp_path: Path) -> None:
    source = await flow.post("/v1/sources", {"kind": "prometheus", "name": "Prometheus"})
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES.format(until=int(time.time()) + FIRES_FOR_S))
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        CONFIGURATION.format(
            rules=rules,
            path=source["source"]["url_path"],
            secret=source["secret"],
            target=flow.stack.api_url.removeprefix("http://"),
        )
    )
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        f"--config.file={configuration}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--rules.alert.resend-delay=2s",
    ]
    log_file = tmp_path / "prometheus.log"
    async with running("prometheus", arguments, ready_url=f"http://{address}/-/ready", log_file=log_file):
        incident = (await wait_until(flow.incidents, timeout_s=20, what="the alert became an incident"))[0]
        assert incident["title"] == "The clock of shop-1 is early"
        assert incident["severity"] == "P1"

        async def resolved() -> bool:
            return bool((await flow.get(f"/v1/incidents/{incident['id']}"))["state"] == "resolved")

        await wait_until(resolved, timeout_s=20, what="its end was understood")
    assert len(await flow.incidents()) == 1
    alert = (await flow.get("/v1/alerts"))["items"][0]
    assert alert["status"] == "resolved"
    assert "says that it ended" in alert["resolve_reason"]
