"""What the production overlay gives the Prometheus operator is what Prometheus would have without one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.observability.generate.__main__ import main
from tests.deploy.kustomize import Object
from tests.deploy.manifests import COMPONENT, K8S, named, of_kind, pod_labels, render, selects
from tests.fixtures.prometheus import Tool
from tests.observability_deploy.files import cluster_rule_files, rule_files

JOB = "serviceMonitor/tocsin/tocsin/0"
# What the operator puts before a ServiceMonitor's own relabelings.
# Source: prometheus-operator, pkg/prometheus/promcfg.go, generateServiceMonitorConfig (2026-11).
BEFORE = [
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": ["__meta_kubernetes_service_name"], "target_label": "job", "replacement": "${1}"},
]


def of_operator() -> list[Object]:
    return of_kind(render("production"), "PrometheusRule")


def scraped_pods() -> list[Object]:
    """The Deployments behind the Service that the ServiceMonitor finds."""
    objects = render("production")
    monitor = named(objects, "ServiceMonitor", "tocsin")["spec"]
    (service,) = [s for s in of_kind(objects, "Service") if selects(monitor["selector"], s["metadata"]["labels"])]
    selector = {"matchLabels": service["spec"]["selector"]}
    return [body for body in of_kind(objects, "Deployment") if selects(selector, pod_labels(body))]


def target(body: Object) -> dict[str, Any]:
    """A pod behind the Service, as discovery shows it."""
    meta = {
        "namespace": "tocsin",
        "service_name": "tocsin-metrics",
        "pod_name": f"{body['metadata']['name']}-7d9c",
        "pod_label_app_kubernetes_io_component": pod_labels(body)[COMPONENT],
    }
    return {"targets": ["10.0.0.7:9100"], "labels": {f"__meta_kubernetes_{name}": text for name, text in meta.items()}}


def as_prometheus(relabeling: dict[str, Any]) -> dict[str, Any]:
    """The operator's spelling of a rule in Prometheus' own."""
    return {re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", name): value for name, value in relabeling.items()}


def discovered(promtool: Tool, folder: Path, relabelings: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The labels that each pod's samples get, by the pod's own name."""
    job = {
        "job_name": JOB,
        "relabel_configs": [*BEFORE, *map(as_prometheus, relabelings)],
        "static_configs": [target(body) for body in scraped_pods()],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    found = json.loads(promtool.must("check", "service-discovery", "--timeout=2s", file, JOB))
    return {each["discoveredLabels"]["__meta_kubernetes_pod_name"]: each["labels"] for each in found}


def test_each_process_is_scraped_as_the_job_that_the_rules_ask_for(promtool: Tool, tmp_path: Path) -> None:
    (endpoint,) = named(render("production"), "ServiceMonitor", "tocsin")["spec"]["endpoints"]
    found = discovered(promtool, tmp_path, endpoint["relabelings"])
    wanted = {f"{body['metadata']['name']}-7d9c": f"tocsin-{pod_labels(body)[COMPONENT]}" for body in scraped_pods()}
    assert {name: labels["job"] for name, labels in found.items()} == wanted
    assert set(wanted.values()) == {"tocsin-api", "tocsin-relay", "tocsin-worker", "tocsin-smtp"}
    assert len([job for job in wanted.values() if job == "tocsin-worker"]) == 5, "one Deployment for each queue"
    assert all(labels["instance"] == name for name, labels in found.items())
    # What the autoscalers ask by.
    assert {labels["namespace"] for labels in found.values()} == {"tocsin"}


def test_left_to_the_operator_every_process_would_be_one_job(promtool: Tool, tmp_path: Path) -> None:
    assert {labels["job"] for labels in discovered(promtool, tmp_path, []).values()} == {"tocsin-metrics"}


def test_the_operators_rules_are_what_the_code_writes(tmp_path: Path) -> None:
    main([str(tmp_path)])
    shipped = K8S / "overlays" / "production" / "rules.yaml"
    assert shipped.read_text() == (tmp_path / "rules.yaml").read_text(), "run python -m app.observability.generate"


def test_the_operator_has_every_rule_but_those_about_machines() -> None:
    files = {path.stem: yaml.safe_load(path.read_text()) for path in [*rule_files(), *cluster_rule_files()]}
    assert files.pop("host")["groups"]
    assert {body["metadata"]["name"]: body["spec"] for body in of_operator()} == {
        f"tocsin-{name}": document for name, document in files.items()
    }


def test_prometheus_takes_the_operators_rules(promtool: Tool, tmp_path: Path) -> None:
    groups = [group for body in of_operator() for group in body["spec"]["groups"]]
    assert len({group["name"] for group in groups}) == len(groups)
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    promtool.must("check", "rules", file)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_cluster_without_listener_calls_somebody_unless_it_wants_no_mail(
    promtool: Tool, tmp_path: Path, wanted: bool
) -> None:
    """The objects as shipped, and without the one that somebody without mail leaves out."""
    left = [body for body in of_operator() if wanted or body["metadata"]["name"] != "tocsin-mail-wanted"]
    groups = [group for body in left for group in body["spec"]["groups"] if group["name"].startswith("tocsin-mail")]
    assert len(groups) == 1 + wanted
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (rule,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == "MailListenerDown"]
    alert = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
    asked = {"eval_time": "30m", "alertname": "MailListenerDown", "exp_alerts": [alert] if wanted else []}
    series = [{"series": 'up{job="tocsin-api",instance="tocsin-api-7d9c"}', "values": "1x60"}]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [asked]}
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(document))
    promtool.must("test", "rules", tmp_path / "test.yaml")


def test_a_cluster_that_wants_mail_runs_a_listener() -> None:
    objects = render("production")
    assert named(objects, "PrometheusRule", "tocsin-mail-wanted")
    assert named(objects, "Deployment", "tocsin-smtp")["spec"]["replicas"] > 0
