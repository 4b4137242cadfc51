"""Every overlay keeps every rule, and every rule notices when a manifest is weakened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.kustomize import Object
from tests.deploy.manifests import OVERLAYS, named, of_kind, pod_of, render
from tests.deploy.policy import RULES, violations

Mutation = Callable[[list[Object]], Any]


def api(objects: list[Object]) -> Object:
    return named(objects, "Deployment", "tocsin-api")


def container(objects: list[Object]) -> Object:
    first: Object = pod_of(api(objects))["containers"][0]
    return first


def pod(objects: list[Object]) -> Object:
    return pod_of(api(objects))


def drop(objects: list[Object], kind: str, name: str) -> None:
    objects.remove(named(objects, kind, name))


def open_up(objects: list[Object]) -> None:
    for body in of_kind(objects, "NetworkPolicy"):
        objects.remove(body)


def entry(objects: list[Object], name: str) -> Object:
    found: Object = next(e for e in container(objects)["env"] if e["name"] == name)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_keeps_every_rule(overlay: str) -> None:
    assert violations(render(overlay)) == []


# What is done to the production overlay, and what the policy check says about it.
WEAKENED: dict[str, tuple[Mutation, str]] = {
    "root": (lambda o: pod(o)["securityContext"].update(runAsUser=0), "may run as root"),
    "root allowed": (lambda o: pod(o)["securityContext"].pop("runAsNonRoot"), "may run as root"),
    "no seccomp": (lambda o: pod(o)["securityContext"].pop("seccompProfile"), "seccomp"),
    "host network": (lambda o: pod(o).update(hostNetwork=True), "shares the host"),
    "host path": (lambda o: pod(o)["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "mounts hostPath"),
    "endless tmp": (lambda o: pod(o)["volumes"][0].update(emptyDir={}), "without a bound"),
    "privileged": (lambda o: container(o)["securityContext"].update(privileged=True), "gain privileges"),
    "setuid": (lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"), "gain privileges"),
    "capability": (lambda o: container(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "capabilities"),
    "writable": (lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"), "root file system"),
    "own user": (lambda o: container(o)["securityContext"].update(runAsUser=0), "overrides the pod's user"),
    "no memory limit": (lambda o: container(o)["resources"]["limits"].pop("memory"), "no memory in its limits"),
    "no cpu request": (lambda o: container(o)["resources"]["requests"].pop("cpu"), "no cpu in its requests"),
    "latest": (lambda o: container(o).update(image="tocsin:latest"), "not pinned"),
    "no tag": (lambda o: container(o).update(image="registry.example.com/tocsin"), "not pinned"),
    "token": (lambda o: pod(o).pop("automountServiceAccountToken"), "token of the Kubernetes API"),
    "account token": (
        lambda o: named(o, "ServiceAccount", "tocsin-api").update(automountServiceAccountToken=True),
        "hands out tokens",
    ),
    "default account": (lambda o: pod(o).update(serviceAccountName="default"), "no ServiceAccount of its own"),
    "service links": (lambda o: pod(o).pop("enableServiceLinks"), "variables from Services"),
    "rights": (lambda o: o.append({"kind": "ClusterRole", "metadata": {"name": "all"}}), "gives rights"),
    "secret by value": (
        lambda o: entry(o, "TOCSIN_REDIS__URL").update(value="redis://:x@y", valueFrom={}),
        "REDIS__URL is not taken from a Secret",
    ),
    "whole secret": (
        lambda o: container(o)["envFrom"].append({"secretRef": {"name": "tocsin-keys"}}),
        "a whole Secret",
    ),
    "secret in settings": (
        lambda o: of_kind(o, "ConfigMap")[0]["data"].update(TOCSIN_SECURITY__TOKEN_PEPPER="x"),
        "ConfigMap tocsin-settings",
    ),
    "secret in git": (lambda o: o.append({"kind": "Secret", "metadata": {"name": "s"}}), "among the manifests"),
    "no liveness": (lambda o: container(o).pop("livenessProbe"), "no livenessProbe"),
    "no startup": (lambda o: container(o).pop("startupProbe"), "no startupProbe"),
    "wrong probe port": (
        lambda o: container(o)["readinessProbe"]["httpGet"].update(port="web"),
        "which it does not name",
    ),
    "no grace": (lambda o: pod(o).pop("terminationGracePeriodSeconds"), "how long its end may take"),
    "no budget": (lambda o: drop(o, "PodDisruptionBudget", "tocsin-api"), "0 PodDisruptionBudgets"),
    "loose budget": (
        lambda o: named(o, "PodDisruptionBudget", "tocsin-worker-intake")["spec"].update(maxUnavailable="50%"),
        "exactly one pod",
    ),
    "shared budget": (
        lambda o: named(o, "PodDisruptionBudget", "tocsin-relay")["spec"]["selector"].update(matchLabels={}),
        "2 PodDisruptionBudgets",
    ),
    "one host": (lambda o: pod(o)["topologySpreadConstraints"].pop(), "not spread"),
    "spread by nothing": (
        lambda o: pod(o)["topologySpreadConstraints"][0]["labelSelector"].update(matchLabels={"a": "b"}),
        "labels that it does not have",
    ),
    "gap in roll-out": (
        lambda o: api(o)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "loses capacity",
    ),
    "greedy selector": (
        lambda o: named(o, "Deployment", "tocsin-worker-intake")["spec"]["selector"]["matchLabels"].pop(
            "tocsin.dev/queue"
        ),
        "tocsin-worker-intake selects",
    ),
    "service of nothing": (
        lambda o: named(o, "Service", "tocsin-api")["spec"]["selector"].update({"a": "b"}),
        "Service tocsin-api selects nothing",
    ),
    "service's port": (
        lambda o: named(o, "Service", "tocsin-api")["spec"]["ports"][0].update(targetPort="web"),
        "has no port 'web'",
    ),
    "scaler of nothing": (lambda o: drop(o, "Deployment", "tocsin-worker-intake"), "which is not there"),
    "settings gone": (lambda o: o.remove(of_kind(o, "ConfigMap")[0]), "reads the ConfigMap"),
    "no tls": (lambda o: named(o, "Ingress", "tocsin")["spec"].pop("tls"), "without TLS"),
    "no default": (lambda o: drop(o, "NetworkPolicy", "tocsin-default-deny"), "that no policy names"),
    "half a default": (
        lambda o: named(o, "NetworkPolicy", "tocsin-default-deny")["spec"].update(policyTypes=["Ingress"]),
        "that no policy names",
    ),
    "no policies": (open_up, "Egress is open to everybody"),
    "two owners": (lambda o: api(o)["spec"].update(replicas=3), "its autoscaler owns"),
    "a stranger": (lambda o: api(o)["metadata"].update(name="api"), "not named after"),
}


@pytest.mark.parametrize("name", WEAKENED)
def test_a_weakened_manifest_is_noticed(name: str) -> None:
    weaken, said = WEAKENED[name]
    objects = render("production")
    weaken(objects)
    assert any(said in breach for breach in violations(objects)), violations(objects)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_shown_to_bite(rule: Callable[[list[Object]], Any]) -> None:
    breaches = 0
    for weaken, _ in WEAKENED.values():
        objects = render("production")
        weaken(objects)
        breaches += len(list(rule(objects)))
    assert breaches > 0
