"""Prometheus in a cluster is given what its discoveries ask the Kubernetes API for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.kustomize import Object
from tests.deploy.manifests import by_identity
from tests.deploy.test_schemas import RELEASES, problems
from tests.observability_deploy.files import DEPLOY, ROOT

CONFIGURATION = DEPLOY / "prometheus" / "prometheus-kubernetes.yaml"
ACCESS = DEPLOY / "prometheus" / "access-kubernetes.yaml"
PAGE = ROOT / "docs" / "how-to" / "watch-tocsin.md"
# What a discovery lists and watches. Nodes are in no namespace, so a Role cannot give them.
# Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config (2026-11).
ASKED_BY_ROLE = {"pod": "pods", "node": "nodes"}
WHOLE_CLUSTER = "*"

Right = tuple[str, str]


def access() -> list[Object]:
    return list(yaml.safe_load_all(ACCESS.read_text()))


def asked() -> set[Right]:
    """The namespace, or the whole cluster, and the resource of each discovery."""
    config: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    found: set[Right] = set()
    for job in config["scrape_configs"]:
        for discovery in job.get("kubernetes_sd_configs", []):
            resource = ASKED_BY_ROLE[discovery["role"]]
            for place in discovery.get("namespaces", {}).get("names", [WHOLE_CLUSTER]):
                found.add((place, resource))
    return found


def given(objects: list[Object]) -> set[Right]:
    """What the bindings give to Prometheus' account."""
    roles, found = by_identity(objects), set()
    for body in objects:
        if not body["kind"].endswith("Binding"):
            continue
        assert body["subjects"] == [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]
        for rule in roles[body["roleRef"]["kind"], body["roleRef"]["name"]]["rules"]:
            assert rule["verbs"] == ["get", "list", "watch"]
            assert rule["apiGroups"] == [""]
            found |= {(body["metadata"].get("namespace", WHOLE_CLUSTER), resource) for resource in rule["resources"]}
    return found


def test_prometheus_may_look_at_exactly_what_it_looks_for() -> None:
    assert asked() == {("tocsin", "pods"), (WHOLE_CLUSTER, "nodes")}
    assert given(access()) == asked()


@pytest.mark.parametrize("release", RELEASES)
def test_the_rights_follow_the_schema(release: str) -> None:
    assert [problem for body in access() for problem in problems(body, release)] == []


def test_the_configuration_and_the_page_say_where_the_rights_are() -> None:
    for path in (CONFIGURATION, PAGE):
        assert ACCESS.name in path.read_text(), path
