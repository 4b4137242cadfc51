"""The manifests fit the code: settings, commands, ports, probes, queues, metrics and times are ones that exist."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from app.http import health
from app.observability.metrics import REGISTRY
from app.observability.probes import LIVE_PATH, READY_PATH
from app.settings import Settings
from app.settings.production import Process, refuse_weak_settings
from tests.deploy.environment import environment, printed_secrets, setting_names
from tests.deploy.kustomize import Object
from tests.deploy.manifests import (
    COMPONENT,
    OVERLAYS,
    WORKLOADS,
    containers,
    is_ours,
    named,
    of_kind,
    pod_labels,
    pod_of,
    render,
    selects,
)
from workers.queues import ALL_QUEUES

# Read by the command line itself, not a setting.
COMMAND_LINE = {"TOCSIN_SUPERUSER_DSN"}
RUNNING = ("dev", "production")
# Closing pools and exporting the last spans, beyond the drain (workers/runtime.py: stop).
CLOSING_S = 20


def component(body: Object) -> str:
    return pod_labels(body)[COMPONENT]


def processes(overlay: str) -> list[tuple[Object, dict[str, Any]]]:
    """The Deployments of Tocsin's own, each with its one container."""
    found = [(body, pod_of(body)["containers"][0]) for body in of_kind(render(overlay), "Deployment") if is_ours(body)]
    assert len(found) >= 3, "api, relay and worker at the least"
    return found


def read_settings(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting(overlay: str) -> None:
    known, objects = setting_names() | COMMAND_LINE, render(overlay)
    for body in of_kind(objects, *WORKLOADS):
        if is_ours(body):
            for container in containers(body):
                assert set(environment(objects, container)) - known == set()
    for body in of_kind(objects, "ConfigMap"):
        assert set(body["data"]) - known == set()


@pytest.mark.parametrize("overlay", RUNNING)
@pytest.mark.parametrize("process", list(Process))
def test_each_process_starts_with_what_it_is_given(
    overlay: str, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(overlay)
    given = [environment(objects, c) for body, c in processes(overlay) if component(body) == process]
    assert given
    for variables in given:
        settings = read_settings(variables, monkeypatch)
        assert settings.environment == ("production" if overlay == "production" else "development")
        refuse_weak_settings(settings, process=process)


def test_a_process_is_given_only_the_secrets_that_it_uses() -> None:
    asked = {
        body["metadata"]["name"]: {
            entry["name"].removeprefix("TOCSIN_") for entry in container["env"] if "valueFrom" in entry
        }
        for body, container in processes("production")
    }
    stores = {"DATABASE__APP_URL", "DATABASE__SYSTEM_URL", "REDIS__URL"}
    worker = stores | {"SECURITY__ENCRYPTION_KEYS"}
    assert asked == {
        "tocsin-api": worker | {"SECURITY__TOKEN_PEPPER"},
        "tocsin-relay": stores,
        "tocsin-smtp": worker,
        **{f"tocsin-worker-{queue}": worker for queue in ALL_QUEUES},
        "tocsin-worker-enhancement": worker | {"ENHANCEMENT__LLM__API_KEY"},
    }


def test_only_the_migration_knows_the_owner_and_it_knows_nothing_else() -> None:
    objects = render("production/migrate")
    (job,) = of_kind(objects, "Job")
    assert [set(environment(objects, container)) for container in containers(job)] == [{"TOCSIN_DATABASE__OWNER_URL"}]
    assert "tocsin-migration" in printed_secrets()
    for body in of_kind(render("production"), *WORKLOADS):
        assert "tocsin-migration" not in str(body)


@pytest.mark.parametrize("overlay", RUNNING)
def test_there_is_one_worker_for_every_queue_and_nothing_else(overlay: str) -> None:
    arguments = [container["args"] for body, container in processes(overlay) if component(body) == "worker"]
    assert sorted(args[1] for args in arguments) == sorted(f"--queues={queue}" for queue in ALL_QUEUES)
    assert {args[0] for args in arguments} == {"--concurrency=5"}
    for body, container in processes(overlay):
        if component(body) == "worker":
            assert container["args"][1] == f"--queues={pod_labels(body)['tocsin.dev/queue']}"


def test_every_command_is_a_module_that_exists() -> None:
    for _, container in processes("production"):
        assert container["command"][:2] == ["python", "-m"]
        module, *rest = container["command"][2:]
        importlib.import_module(module)
        if module == "uvicorn":
            name, attribute = rest[0].split(":")
            assert callable(getattr(importlib.import_module(name), attribute))
            assert "--no-access-log" in container["args"]


def test_every_probe_asks_a_path_that_is_served() -> None:
    api_paths = {getattr(route, "path", "") for route in health.router.routes}
    for body, container in processes("production"):
        served = api_paths if component(body) == "api" else {LIVE_PATH, READY_PATH}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[kind]["httpGet"]
            assert asked["path"] in served, (body["metadata"]["name"], kind)
            assert asked["port"] == ("http" if component(body) == "api" else "metrics")


def test_the_ports_are_the_ones_that_the_processes_open() -> None:
    settings = Settings(_env_file=None)
    metrics = {
        "api": settings.http.metrics_port,
        "relay": settings.jobs.relay_metrics_port,
        "worker": settings.jobs.worker_metrics_port,
        "smtp": settings.smtp.metrics_port,
    }
    for body, container in processes("production"):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["metrics"] == metrics[component(body)]
        if component(body) == "api":
            assert str(ports["http"]) == container["args"][container["args"].index("--port") + 1]
        if component(body) == "smtp":
            assert ports["smtp"] == settings.smtp.port


def test_a_stopping_process_has_the_time_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("production")
    for body, container in processes("production"):
        settings = read_settings(environment(objects, container), monkeypatch)
        grace = pod_of(body)["terminationGracePeriodSeconds"]
        if component(body) == "worker":
            assert grace >= settings.jobs.drain_timeout_s + CLOSING_S
        elif component(body) == "api":
            arguments = container["args"]
            graceful = int(arguments[arguments.index("--timeout-graceful-shutdown") + 1])
            assert graceful > settings.http.request_timeout_s
            wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert grace >= wait + graceful + 2 * settings.telemetry.export_timeout_s
        elif component(body) == "smtp":
            wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert grace >= wait + settings.smtp.stop_timeout_s + 2 * settings.telemetry.export_timeout_s
        else:
            assert grace >= settings.telemetry.export_timeout_s + CLOSING_S


def test_a_worker_is_restarted_only_when_a_failover_would_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("production")
    for body, container in processes("production"):
        if component(body) in {"relay", "worker"}:
            settings = read_settings(environment(objects, container), monkeypatch)
            probe = container["livenessProbe"]
            patience = settings.jobs.stale_worker_s + probe["periodSeconds"] * probe["failureThreshold"]
            assert 120 <= patience <= 300


def scalers() -> dict[str, Any]:
    return {
        body["spec"]["scaleTargetRef"]["name"]: body["spec"] for body in of_kind(render("production"), "ScaledObject")
    }


def test_every_worker_is_scaled_by_its_own_queue_five_jobs_each() -> None:
    assert set(scalers()) == {f"tocsin-worker-{queue}" for queue in ALL_QUEUES}
    for name, spec in scalers().items():
        (trigger,) = spec["triggers"]
        query = trigger["metadata"]["query"]
        assert trigger["metadata"]["threshold"] == "5"
        assert trigger["metricType"] == "AverageValue"
        assert set(re.findall(r'queue="(\w+)"', query)) == {name.removeprefix("tocsin-worker-")}
        assert set(re.findall(r'namespace="([\w-]+)"', query)) == {"tocsin"}
        assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


def test_what_the_scalers_ask_prometheus_for_exists() -> None:
    importlib.import_module("workers.relay")
    declared = {metric.name: metric for metric in REGISTRY.collect()}
    for spec in scalers().values():
        query = spec["triggers"][0]["metadata"]["query"]
        names = set(re.findall(r"\btocsin_\w+", query))
        assert names == {"tocsin_jobs_due", "tocsin_jobs_published", "tocsin_jobs_in_progress"}
        assert names <= set(declared)


def test_prometheus_finds_every_process_as_often_as_the_scalers_ask() -> None:
    objects = render("production")
    (monitor,) = of_kind(objects, "ServiceMonitor")
    selector = monitor["spec"]["selector"]
    (service,) = [body for body in of_kind(objects, "Service") if selects(selector, body["metadata"]["labels"])]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert {f"{spec['pollingInterval']}s" for spec in scalers().values()} == {endpoint["interval"]}
    chosen = {"matchLabels": service["spec"]["selector"]}
    assert all(selects(chosen, pod_labels(body)) for body in of_kind(objects, "Deployment"))


def test_the_api_runs_in_two_to_ten_replicas() -> None:
    spec = named(render("production"), "HorizontalPodAutoscaler", "tocsin-api")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tocsin-api"}
