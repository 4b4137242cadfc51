"""Tocsin watches itself, and mends what it finds, with nothing stood in for.

Tocsin's processes, scraped by Debian's Prometheus with the deployed rules, tell Debian's Alertmanager, which tells Tocsin, where
an incident starts a runbook that acts on the cause; recovery is proven, and Alertmanager's own word ends the alert.
What is altered of the deployed configuration stands in ``shortened.py``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db.tenancy import tenant_session
from app.embedded.valkey import free_port
from tests.fixtures.prometheus import running
from tests.fixtures.stack import ProcessStack
from tests.fixtures.wait import wait_until
from tests.flows.conftest import FlowTenant
from tests.observability_deploy.files import DEPLOY
from tests.observability_deploy.shortened import write_alertmanager, write_prometheus

QUEUE = "enhancement"
RUNBOOK = "tocsin-resume-processing"


@dataclass(frozen=True)
class Watched:
    """Prometheus and Alertmanager, watching the stack."""

    flow: FlowTenant
    prometheus: str
    alertmanager: str
    client: httpx.AsyncClient

    async def firing(self, name: str) -> list[dict[str, Any]]:
        """What Prometheus says of an alert."""
        answer = await self.client.get(f"{self.prometheus}/api/v1/alerts")
        found = answer.json()["data"]["alerts"]
        return [alert for alert in found if alert["labels"]["alertname"] == name and alert["state"] == "firing"]

    async def targets(self) -> dict[str, str]:
        """Health by job."""
        answer = await self.client.get(f"{self.prometheus}/api/v1/targets")
        return {target["labels"]["job"]: target["health"] for target in answer.json()["data"]["activeTargets"]}

    async def incident(self, title: str) -> dict[str, Any] | None:
        return next((entry for entry in await self.flow.incidents() if title in entry["title"]), None)


async def metrics_address(stack: ProcessStack, name: str) -> str:
    def port() -> str | None:
        lines = (stack.folder / f"{name}.log").read_text(errors="replace").splitlines()
        started = next((line for line in lines if f'"{name}.started"' in line), "")
        found = re.search(r'"metrics_port": ?(\d+)', started)
        return found.group(1) if found else None

    what = f"{name} says where its metrics are\n{stack.tail(name)}"
    return f"127.0.0.1:{await wait_until(port, timeout_s=40, what=what)}"


@asynccontextmanager
async def servers(
    folder: Path, config: Path, *, prometheus: int, alertmanager: int, notes: Path
) -> AsyncIterator[None]:
    """Both of Debian's servers, ready."""
    at = "--web.listen-address=127.0.0.1:{}".format
    routed = [f"--config.file={notes}", f"--storage.path={folder / 'notes'}", "--cluster.listen-address="]
    stored = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    ready = "http://127.0.0.1:{}/-/ready".format
    async with (
        running(
            "prometheus-alertmanager",
            [*routed, at(alertmanager)],
            ready_url=ready(alertmanager),
            log_file=folder / "alertmanager.log",
        ),
        running(
            "prometheus", [*stored, at(prometheus)], ready_url=ready(prometheus), log_file=folder / "prometheus.log"
        ),
    ):
        yield


@pytest.fixture
async def watched(flow: FlowTenant, tmp_path: Path) -> AsyncIterator[Watched]:
    """The stack under watch, reporting to a source of the tenant's."""
    made = await flow.post("/v1/sources", {"kind": "alertmanager", "name": "Our own", "profile": "bearer"})
    prometheus, alertmanager = free_port(), free_port()
    processes = {f"tocsin-{name}": await metrics_address(flow.stack, name) for name in ("api", "relay", "worker")}
    folder = tmp_path / "watch"
    folder.mkdir()
    notes = write_alertmanager(folder, url=f"{flow.stack.api_url}{made['source']['url_path']}", token=made["secret"])
    own = {"prometheus": f"127.0.0.1:{prometheus}", "alertmanager": f"127.0.0.1:{alertmanager}"}
    config = write_prometheus(folder, targets=processes | own)
    async with (
        servers(folder, config, prometheus=prometheus, alertmanager=alertmanager, notes=notes),
        httpx.AsyncClient(timeout=5) as client,
    ):
        yield Watched(flow, f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}", client)


async def trust_tocsin_with_itself(flow: FlowTenant) -> None:
    """The runbook, its target and the rule that starts it, as an administrator sets them up."""
    source = (DEPLOY / "runbooks" / f"{RUNBOOK}.yaml").read_text()
    await flow.post("/v1/runbooks", {"source": source})
    await flow.post(
        "/v1/targets",
        {
            "name": "tocsin",
            "kind": "http",
            "connection": {"base_url": flow.stack.api_url},
            "secret": flow.api.headers["Authorization"].removeprefix("Bearer "),
        },
    )
    rule = {
        "name": "resume",
        "match": {"alert": ["OldestDueJob"]},
        "runbook": RUNBOOK,
        "targets": {"tocsin": "tocsin"},
        "inputs": {"queue": "${incident.labels.queue}"},
        "mode": "auto",
    }
    await flow.post("/v1/runbook-rules", rule)


async def let_jobs_wait(watched: Watched) -> list[str]:
    """Pause a queue, have work arrive for it, and say that this was ten minutes ago; return what waits."""
    flow = watched.flow
    await flow.post("/v1/admin/pause-processing", {"queue": QUEUE, "reason": "forgotten"}, status=200)
    alert = {"labels": {"alertname": "DiskFull", "severity": "p3"}, "annotations": {"summary": "The disk is full"}}
    (await watched.client.post(f"{watched.alertmanager}/api/v2/alerts", json=[alert])).raise_for_status()
    await wait_until(lambda: watched.incident("The disk is full"), timeout_s=20, what="work for the paused queue")
    async with tenant_session(flow.database, flow.tenant_id) as session:
        moved = await session.execute(
            text("update jobs set run_at = now() - interval '10 minutes' where queue = :queue returning id"),
            {"queue": QUEUE},
        )
        waiting = [str(job_id) for job_id in moved.scalars()]
    assert waiting, "no work came for the queue"
    return waiting


async def test_tocsin_finds_its_forgotten_queue_and_mends_it(watched: Watched) -> None:
    flow = watched.flow
    everything = {f"tocsin-{name}": "up" for name in ("api", "relay", "worker")}
    everything |= {"prometheus": "up", "alertmanager": "up"}

    async def all_scraped() -> bool:
        return await watched.targets() == everything

    await wait_until(all_scraped, timeout_s=20, every_s=0.2, what="Prometheus scrapes every process")
    await trust_tocsin_with_itself(flow)
    waiting = await let_jobs_wait(watched)

    # Metrics to Prometheus to Alertmanager to an incident.
    incident = await wait_until(
        lambda: watched.incident(f"A job of the queue {QUEUE} has been due for"),
        timeout_s=30,
        every_s=0.2,
        what=f"the alert became an incident\n{flow.stack.tail('worker')}",
    )
    assert incident["severity"] == "P1"
    (alert,) = (await flow.get(f"/v1/incidents/{incident['id']}/alerts"))["items"]
    assert (alert["name"], alert["labels"]["queue"], alert["raw_severity"]) == ("OldestDueJob", QUEUE, "p1")
    assert alert["annotations"]["tocsin_runbook"] == RUNBOOK

    # The runbook acts on the cause and proves recovery.
    async def mended() -> dict[str, Any] | None:
        (run,) = (await flow.get("/v1/runs"))["items"] or [{"state": "not yet"}]
        return run if run["state"] == "ended" else None

    run = await wait_until(mended, timeout_s=30, every_s=0.2, what="the runbook ended")
    assert (run["runbook"], run["incident_id"], run["outcome"]) == (RUNBOOK, incident["id"], "recovered"), run
    steps = {step["key"]: step for step in (await flow.get(f"/v1/runs/{run['id']}"))["steps"]}
    assert (steps["resume"]["state"], steps["resume"]["output"]["status"]) == ("done", 200)
    assert {(await flow.get(f"/v1/jobs/{job_id}"))["state"] for job_id in waiting} == {"succeeded"}

    # Alertmanager's own word ends the alert, and everybody agrees that it is over.
    async def over() -> dict[str, Any] | None:
        (entry,) = (await flow.get(f"/v1/incidents/{incident['id']}/alerts"))["items"]
        return entry if entry["status"] == "resolved" else None

    ended = await wait_until(over, timeout_s=30, every_s=0.2, what="Alertmanager said that it is over")
    assert ended["resolve_reason"].startswith("Our own says that it ended at"), ended["resolve_reason"]
    assert await watched.firing("OldestDueJob") == []
    assert (await flow.get(f"/v1/incidents/{incident['id']}"))["state"] == "resolved"
    kinds = [entry["kind"] for entry in await flow.timeline(incident["id"])]
    assert kinds.index("run.started") < kinds.index("run.ended")
