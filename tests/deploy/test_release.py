"""A first release as the manifests make it: roles, migration, the production processes, and an alert that becomes an incident.

Nothing of it is the test's own but the machine: the image's files, the manifests' commands, variables and Secrets.
"""

from __future__ import annotations

import contextlib
import re
import signal

import httpx

from app.observability.probes import LIVE_PATH, READY_PATH
from tests.deploy.cluster import Cluster
from tests.deploy.manifests import named, pod_of, render
from tests.fixtures.wait import wait_until

READY_S = 60.0
DEPLOYMENTS = {"api": "tocsin-api", "relay": "tocsin-relay", "worker": "tocsin-worker-intake"}


def migrate(cluster: Cluster) -> None:
    objects = render("dev")
    job = pod_of(named(objects, "Job", "tocsin-migrate"))
    for container in (*job["initContainers"], *job["containers"]):
        cluster.finish(objects, container)


async def start(cluster: Cluster) -> None:
    objects = render("production")
    for name, deployment in DEPLOYMENTS.items():
        cluster.start(name, objects, pod_of(named(objects, "Deployment", deployment))["containers"][0])
    asked = [(cluster.ports["api"], "/readyz"), *((cluster.ports[name], READY_PATH) for name in ("relay", "worker"))]
    async with httpx.AsyncClient(timeout=3) as client:

        async def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return all([(await client.get(f"http://127.0.0.1:{port}{path}")).is_success for port, path in asked])
            return False

        await wait_until(ready, timeout_s=READY_S, every_s=0.2, what="every process is ready")


def first_token(cluster: Cluster) -> str:
    objects = render("production")
    api = pod_of(named(objects, "Deployment", "tocsin-api"))["containers"][0]
    printed = cluster.finish(objects, api, ["tocsin", "tenant", "create", "acme"])
    found = re.search(r"admin token[^:]*: (\S+)", printed)
    assert found is not None, printed
    return found[1]


async def test_a_release_goes_from_nothing_to_an_incident(cluster: Cluster) -> None:
    migrate(cluster)
    migrate(cluster)  # a Job that is tried again, or applied with the next release, changes nothing
    await start(cluster)
    headers = {"Authorization": f"Bearer {first_token(cluster)}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{cluster.ports['api']}", headers=headers) as client:
        made = await client.post("/v1/sources", json={"kind": "alertmanager", "name": "am", "profile": "bearer"})
        assert made.status_code == 201, made.text
        alert = {"status": "firing", "labels": {"alertname": "DiskFull", "instance": "web-1"}}
        answer = await client.post(
            made.json()["source"]["url_path"],
            json={"version": "4", "status": "firing", "alerts": [alert]},
            headers={"Authorization": f"Bearer {made.json()['secret']}"},
        )
        assert answer.status_code == 202, answer.text

        async def opened() -> bool:
            return bool((await client.get("/v1/incidents")).json()["items"])

        await wait_until(opened, timeout_s=30, every_s=0.1, what=f"the alert is an incident\n{cluster.said()}")
        assert (await client.get("/docs")).status_code == 404
        live = await client.get(f"http://127.0.0.1:{cluster.ports['worker']}{LIVE_PATH}")
        assert live.status_code == 200
    stopped = cluster.stop()
    # uvicorn ends itself by the signal that it was sent, once everything is closed.
    assert stopped == {"api": -signal.SIGTERM, "relay": 0, "worker": 0}, cluster.said()
    for event in ("api.stopped", "relay.stopped", "worker.draining", "worker.stopped", "incident.opened"):
        assert f'"{event}"' in cluster.said(), event
