"""What is deployed beside Tocsin is understood by its own programs, and fits what Tocsin does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings.http import HttpSettings
from app.settings.jobs import JobSettings
from app.settings.smtp import SmtpSettings
from app.settings.telemetry import TelemetrySettings
from tests.fixtures.prometheus import Tool
from tests.observability_deploy.files import DEPLOY, ROOT, alerts, cluster_rule_files, rule_files
from tests.observability_deploy.promql import selectors
from tests.observability_deploy.test_names import expressions, known
from workers.runner import Outcome

__all__ = ["known"]

ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yaml"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yaml"
CLUSTER = DEPLOY / "prometheus" / "prometheus-kubernetes.yaml"
COLLECTOR = DEPLOY / "otel-collector" / "config.yaml"
K8S = ROOT / "deploy" / "k8s"
SERVICE_MONITOR = K8S / "overlays" / "production" / "metrics.yaml"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_alertmanager_takes_its_configuration(amtool: Tool) -> None:
    amtool.must("check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["severity=p0", "alertname=TocsinApiDown"], "tocsin,page"),
        (["severity=p1", "alertname=OldestDueJob"], "tocsin,chat-and-mail"),
        (["severity=p2", "alertname=DeadLetters"], "tocsin,mail"),
        (["severity=p3", "alertname=QueuePaused"], "tocsin"),
        (["severity=none", "alertname=Watchdog"], "heartbeat"),
        (["alertname=SomebodyElses"], "tocsin"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_an_alert_goes_where_its_severity_says(amtool: Tool, labels: list[str], receivers: str) -> None:
    amtool.must("config", "routes", "test", f"--config.file={ALERTMANAGER}", f"--verify.receivers={receivers}", *labels)


def test_a_page_is_not_held_back_for_company() -> None:
    routes = read(ALERTMANAGER)["route"]["routes"]
    paging = [route for route in routes if 'severity="p0"' in route["matchers"]]
    assert [route["receiver"] for route in paging] == ["tocsin", "page"]
    assert {route["group_wait"] for route in paging} == {"0s"}


def test_tocsin_is_reached_with_a_bearer_token_from_a_file() -> None:
    receivers = {receiver["name"]: receiver for receiver in read(ALERTMANAGER)["receivers"]}
    (webhook,) = receivers["tocsin"]["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["http_config"]["follow_redirects"] is False
    authorization = webhook["http_config"]["authorization"]
    assert (authorization["type"], set(authorization)) == ("Bearer", {"type", "credentials_file"})


def test_no_secret_stands_in_a_configuration() -> None:
    inline = re.compile(r"^\s*-?\s*(credentials|password|api_url|routing_key|smtp_auth_password|bearer_token):", re.M)
    files = [path for path in DEPLOY.rglob("*.yaml") if inline.search(path.read_text())]
    assert files == []


def matched(pattern: str) -> set[str]:
    """The alerts that a matcher such as ``alertname=~"A|B"`` names."""
    name, _, value = pattern.partition("=")
    return set(value.lstrip("~").strip('"').split("|")) if name == "alertname" else set()


def test_what_is_inhibited_and_by_what_exists() -> None:
    known = {rule.alert for rule in alerts()}
    rules = read(ALERTMANAGER)["inhibit_rules"]
    named = [
        name for rule in rules for part in rule["source_matchers"] + rule["target_matchers"] for name in matched(part)
    ]
    assert "OldestDueJob" in named
    assert set(named) - known == set()
    # An alert must not silence itself.
    for rule in rules:
        sources = set().union(*map(matched, rule["source_matchers"]))
        assert sources.isdisjoint(set().union(*map(matched, rule["target_matchers"])))


def test_prometheus_takes_its_configuration(promtool: Tool) -> None:
    count = len(list((DEPLOY / "prometheus" / "rules").glob("*.yaml")))
    assert f"{count} rule files found" in promtool.must("check", "config", PROMETHEUS)


def pod(component: str, *, port: str = "metrics", phase: str = "Running") -> dict[str, Any]:
    """A pod as discovery shows it."""
    meta = {
        "pod_name": f"tocsin-{component}-7d9c",
        "pod_container_port_name": port,
        "pod_phase": phase,
        "pod_label_app_kubernetes_io_component": component,
    }
    labels = {f"__meta_kubernetes_{name}": value for name, value in meta.items()} | {
        "__meta_kubernetes_namespace": "tocsin"
    }
    return {"targets": ["10.0.0.7:9103"], "labels": labels}


def standing(found: list[dict[str, Any]], folder: Path) -> Path:
    """A copy of the cluster's configuration in which the pods are written down.

    Debian's Prometheus is built without discovery in Kubernetes; all the rest of the file stays as it is.
    """
    config = read(CLUSTER)
    config["rule_files"] = [str(DEPLOY / "prometheus" / pattern) for pattern in config["rule_files"]]
    for job in config["scrape_configs"]:
        if job.pop("kubernetes_sd_configs", None):
            job["static_configs"] = found
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_pods_are_scraped_as_the_job_of_their_component_at_their_metrics_port(promtool: Tool, tmp_path: Path) -> None:
    wanted = [pod("api"), pod("relay"), pod("worker"), pod("smtp")]
    config = standing([*wanted, pod("api", port="http"), pod("worker", phase="Failed")], tmp_path)
    count = len([*rule_files(), *cluster_rule_files()])
    assert promtool.must("check", "config", config).count("SUCCESS: ") > count, (
        "each file of rules, and the configuration"
    )
    # It listens for so long, and there is no end to what a discovery may still find.
    targets = json.loads(promtool.must("check", "service-discovery", "--timeout=5s", config, "tocsin"))
    kept = {target["labels"]["instance"]: target["labels"]["job"] for target in targets if target["labels"]}
    assert kept == {f"tocsin-{part}-7d9c": f"tocsin-{part}" for part in ("api", "relay", "worker", "smtp")}
    assert len(targets) == len(wanted) + 2
    assert {target["labels"]["namespace"] for target in targets if target["labels"]} == {"tocsin"}


def named_by(path: Path, relabelling: str, target: str) -> set[str]:
    """The jobs that a configuration makes of the pods' components."""
    config = read(path)
    jobs = config["scrape_configs"] if "scrape_configs" in config else config["spec"]["endpoints"]
    (naming,) = [rule for job in jobs for rule in job.get(relabelling, []) if rule.get(target) == "job"]
    return {naming["replacement"].replace("$1", part) for part in naming["regex"].strip("()").split("|")}


def test_each_job_that_a_rule_asks_for_is_scraped() -> None:
    asked = {
        value.replace(".+", "")
        for _, expr in expressions()
        for selector in selectors(expr)
        for label, value in selector.matchers
        if label == "job"
    }
    static = {job["job_name"] for job in read(PROMETHEUS)["scrape_configs"]}
    assert asked - {"tocsin-"} <= static
    ours = {"tocsin-api", "tocsin-relay", "tocsin-worker", "tocsin-smtp"}
    assert named_by(CLUSTER, "relabel_configs", "target_label") == ours <= static
    assert named_by(SERVICE_MONITOR, "relabelings", "targetLabel") == ours
    assert static - ours == {job["job_name"] for job in read(CLUSTER)["scrape_configs"]} - {"tocsin"}


def test_the_static_targets_are_the_ports_that_processes_open_by_default() -> None:
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in read(PROMETHEUS)["scrape_configs"]}
    jobs, http = JobSettings(), HttpSettings()
    assert targets["tocsin-api"] == [f"api:{http.metrics_port}"]
    assert targets["tocsin-relay"] == [f"relay:{jobs.relay_metrics_port}"]
    assert targets["tocsin-worker"] == [f"worker:{jobs.worker_metrics_port}"]
    assert targets["tocsin-smtp"] == [f"smtp:{SmtpSettings().metrics_port}"]


def test_the_cluster_is_searched_for_the_labels_that_the_pods_have() -> None:
    (job,) = [job for job in read(CLUSTER)["scrape_configs"] if job["job_name"] == "tocsin"]
    (discovery,) = job["kubernetes_sd_configs"]
    wanted = dict(pair.split("=") for pair in discovery["selectors"][0]["label"].split(","))
    (service,) = [s for s in yaml.safe_load_all((K8S / "base" / "metrics-service.yaml").read_text()) if s]
    assert service["spec"]["selector"] == wanted
    assert service["spec"]["ports"][0]["targetPort"] == job["relabel_configs"][0]["regex"]
    (namespace,) = yaml.safe_load_all((K8S / "overlays" / "production" / "namespace.yaml").read_text())
    assert discovery["namespaces"]["names"] == [namespace["metadata"]["name"]]


def test_the_autoscalers_ask_for_what_is_scraped(known: dict[str, set[str]]) -> None:
    (job,) = [job for job in read(CLUSTER)["scrape_configs"] if job["job_name"] == "tocsin"]
    set_here = {rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule}
    text = (K8S / "overlays" / "production" / "autoscaling-workers.yaml").read_text()
    queries = [
        trigger["metadata"]["query"]
        for document in yaml.safe_load_all(text)
        for trigger in document["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]
    asked = [selector for query in queries for selector in selectors(query)]
    assert {selector.name for selector in asked} == {
        "tocsin_jobs_due",
        "tocsin_jobs_published",
        "tocsin_jobs_in_progress",
    }
    wrong = [(s.name, label) for s in asked for label, _ in s.matchers if label not in known[s.name] | set_here]
    assert wrong == []


def test_every_pipeline_of_the_collector_is_made_of_defined_parts_and_none_is_left_over() -> None:
    config = read(COLLECTOR)
    used: dict[str, set[str]] = {"extensions": set(config["service"]["extensions"])}
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            used.setdefault(kind, set()).update(names)
    assert used == {kind: set(config[kind]) for kind in ("extensions", "receivers", "processors", "exporters")}


def test_the_collector_limits_its_memory_first_samples_whole_traces_and_batches_last() -> None:
    config = read(COLLECTOR)
    for pipeline in config["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"
        assert pipeline["processors"][-1] == "batch"
    batch, limiter = config["processors"]["batch"], config["processors"]["memory_limiter"]
    assert batch["send_batch_size"] <= batch["send_batch_max_size"]
    assert limiter["spike_limit_percentage"] < limiter["limit_percentage"] < 100
    policies = tail_sampling()
    for policy in policies:
        assert policy["type"] in policy, f"{policy['name']} has no settings of its type"
    (jobs,) = [policy["string_attribute"] for policy in policies if policy["type"] == "string_attribute"]
    assert jobs["key"] == "status"
    assert set(jobs["values"]) <= {outcome.value for outcome in Outcome}


def test_the_collector_listens_where_the_production_overlay_sends() -> None:
    port = read(COLLECTOR)["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    overlay = (K8S / "overlays" / "production" / "kustomization.yaml").read_text()
    sent_to = re.search(r"TOCSIN_TELEMETRY__OTLP_ENDPOINT=http://[a-z.-]+:(\d+)", overlay)
    assert sent_to is not None
    assert sent_to.group(1) == port


def test_the_words_about_the_share_of_traces_are_true_of_the_share_that_is_set() -> None:
    overlay = K8S / "overlays" / "production" / "kustomization.yaml"
    setting = "TOCSIN_TELEMETRY__TRACE_SAMPLE_RATIO="
    (share,) = re.findall(rf"^ +- {setting}([0-9.]+)$", overlay.read_text(), re.M)
    page = ROOT / "docs" / "how-to" / "watch-tocsin.md"
    for path in (overlay, COLLECTOR, page):
        text = " ".join(re.sub(r"^ *#", "", path.read_text(), flags=re.M).split())
        percent = f"{float(share) * 100:g} %"
        assert f"sees {percent} of the traces, and {percent} of the failures" in text, path
        assert f"{setting}{share}" in text, path
        assert "every failure" in text, path
    (rest,) = [p["probabilistic"] for p in tail_sampling() if p["type"] == "probabilistic"]
    assert f"keeps {float(share) * rest['sampling_percentage']:g} % of what was fast and well" in COLLECTOR.read_text()
    assert TelemetrySettings().trace_sample_ratio == 1, "the page and the collector say that it is the default"


def tail_sampling() -> list[dict[str, Any]]:
    policies: list[dict[str, Any]] = read(COLLECTOR)["processors"]["tail_sampling"]["policies"]
    return policies


def test_what_has_to_be_replaced_is_named_where_people_are_told_how() -> None:
    page = (ROOT / "docs" / "how-to" / "watch-tocsin.md").read_text()
    files = [ALERTMANAGER, PROMETHEUS, CLUSTER, COLLECTOR]
    text = "\n".join(path.read_text() for path in files)
    wanted = {*re.findall(r"\$\{env:([A-Z_]+)\}", text), *re.findall(r"_file: (\S+)", text), "SOURCE"}
    assert [word for word in sorted(wanted) if word not in page] == []
