"""The shipped manifests as they reach a cluster, and questions about them."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.db.migrate import ROOT
from tests.deploy.kustomize import Object, build, template_of

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("dev", "production", "production/migrate")
LONG_LIVED = ("Deployment", "StatefulSet")
WORKLOADS = (*LONG_LIVED, "Job", "CronJob")
COMPONENT = "app.kubernetes.io/component"


@functools.cache
def _rendered(overlay: str) -> str:
    return json.dumps(build(K8S / "overlays" / overlay))


def render(overlay: str) -> list[Object]:
    """This will return the overlay's objects, the caller's own to change."""
    objects: list[Object] = json.loads(_rendered(overlay))
    return objects


def built_by_kubectl(folder: Path) -> list[Object] | None:
    """This will return what kustomize itself makes of a folder, or None where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(done.stdout))


def by_identity(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """This will return the objects by kind and name."""
    return {(body["kind"], body["metadata"]["name"]): body for body in objects}


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [body for body in objects if body["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """This will return one object.

    Raises:
        KeyError: There is none.
    """
    return by_identity(objects)[kind, name]


def title(body: Object) -> str:
    return f"{body['kind']} {body['metadata']['name']}"


def pod_of(workload: Object) -> dict[str, Any]:
    pod: dict[str, Any] = template_of(workload)["spec"]
    return pod


def pod_labels(workload: Object) -> dict[str, str]:
    labels: dict[str, str] = template_of(workload)["metadata"]["labels"]
    return labels


def containers(workload: Object) -> Iterator[dict[str, Any]]:
    pod = pod_of(workload)
    yield from [*pod.get("initContainers", []), *pod["containers"]]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector with ``matchLabels`` and ``In`` expressions matches; an empty one matches all.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ (2026-11).
    """
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions), "only In is used here"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def is_ours(workload: Object) -> bool:
    """Whether it runs Tocsin's image rather than a store's."""
    return "app.kubernetes.io/part-of" in workload["metadata"].get("labels", {})
