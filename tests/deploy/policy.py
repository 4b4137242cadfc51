"""What every manifest must keep to. Each rule yields one sentence per breach; mutations in the tests show that it bites.

Source: the Pod Security Standard "restricted", https://kubernetes.io/docs/concepts/security/pod-security-standards/ (2026-11),
and this project's own promises (docs/how-to/deploy-on-kubernetes.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tests.deploy.kustomize import Object
from tests.deploy.manifests import (
    LONG_LIVED,
    WORKLOADS,
    containers,
    is_ours,
    of_kind,
    pod_labels,
    pod_of,
    selects,
    title,
)

Rule = Callable[[list[Object]], Iterator[str]]
VOLUME_KINDS = frozenset({"name", "emptyDir", "persistentVolumeClaim", "secret", "configMap"})
PINNED = re.compile(r"[^:@\s]+(:[A-Za-z0-9_][\w.-]*|@sha256:[0-9a-f]{64})")
LOOKS_SECRET = re.compile(r"PASSWORD|SECRET|PEPPER|ENCRYPTION|API_KEY|TOKEN|DSN|DATABASE__\w*URL|REDIS__URL|CURSOR_KEY")
SECRET_KINDS = frozenset({"Secret", "SealedSecret"})
RBAC_KINDS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


def violations(objects: list[Object]) -> list[str]:
    """This will return every breach of every rule, sorted."""
    return sorted(breach for rule in RULES for breach in rule(objects))


def pods_are_restricted(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        pod, context = pod_of(body), pod_of(body).get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("runAsUser", 0) == 0:
            yield f"{title(body)} may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{title(body)} has no seccomp profile"
        if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")):
            yield f"{title(body)} shares the host's or its neighbours' namespaces"
        for volume in pod.get("volumes", []):
            if set(volume) - VOLUME_KINDS:
                yield f"{title(body)} mounts {', '.join(sorted(set(volume) - VOLUME_KINDS))}"
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{title(body)} has an emptyDir without a bound"


def containers_are_restricted(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        for container in containers(body):
            context, where = container.get("securityContext", {}), f"{title(body)}/{container['name']}"
            if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
                yield f"{where} may gain privileges"
            if context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where} keeps capabilities"
            if context.get("readOnlyRootFilesystem") is not True:
                yield f"{where} can write to its root file system"
            if "runAsUser" in context or context.get("runAsNonRoot") is False:
                yield f"{where} overrides the pod's user"


def resources_are_bounded(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        for container in containers(body):
            resources = container.get("resources", {})
            for part in ("requests", "limits"):
                for name in ("cpu", "memory"):
                    if name not in resources.get(part, {}):
                        yield f"{title(body)}/{container['name']} has no {name} in its {part}"


def images_are_pinned(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        for container in containers(body):
            image = container["image"]
            if PINNED.fullmatch(image) is None or image.endswith(":latest"):
                yield f"{title(body)}/{container['name']} runs an image that is not pinned: {image}"


def identities_are_least(objects: list[Object]) -> Iterator[str]:
    accounts = {body["metadata"]["name"]: body for body in of_kind(objects, "ServiceAccount")}
    for body in of_kind(objects, *WORKLOADS):
        pod = pod_of(body)
        if pod.get("serviceAccountName") not in accounts:
            yield f"{title(body)} has no ServiceAccount of its own"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{title(body)} mounts a token of the Kubernetes API"
        if pod.get("enableServiceLinks") is not False:
            yield f"{title(body)} takes environment variables from Services"
    for name, account in accounts.items():
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {name} hands out tokens"
    for body in objects:
        if body["kind"] in RBAC_KINDS:
            yield f"{title(body)} gives rights in the cluster, and no process needs any"


def secrets_are_referenced(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        for container in containers(body):
            for entry in container.get("env", []):
                if LOOKS_SECRET.search(entry["name"]) and "secretKeyRef" not in entry.get("valueFrom", {}):
                    yield f"{title(body)}/{container['name']}: {entry['name']} is not taken from a Secret"
            if any("secretRef" in source for source in container.get("envFrom", [])):
                yield f"{title(body)}/{container['name']} takes a whole Secret instead of the keys that it needs"


def secrets_are_not_in_manifests(objects: list[Object]) -> Iterator[str]:
    for body in objects:
        if body["kind"] in SECRET_KINDS:
            yield f"{title(body)} is a secret among the manifests"
    for body in of_kind(objects, "ConfigMap"):
        for name in body["data"]:
            if LOOKS_SECRET.search(name):
                yield f"{title(body)} holds {name}"


def long_lived_are_probed(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *LONG_LIVED):
        for container in pod_of(body)["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if probe is None:
                    yield f"{title(body)}/{container['name']} has no {kind}"
                    continue
                asked = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                if asked is not None and asked not in ports:
                    yield f"{title(body)}/{container['name']}: {kind} asks the port {asked!r}, which it does not name"
        if "terminationGracePeriodSeconds" not in pod_of(body):
            yield f"{title(body)} does not say how long its end may take"


def deployments_survive(objects: list[Object]) -> Iterator[str]:
    budgets = [body["spec"] for body in of_kind(objects, "PodDisruptionBudget")]
    for body in of_kind(objects, "Deployment"):
        labels = pod_labels(body)
        guarding = [budget for budget in budgets if selects(budget["selector"], labels)]
        if len(guarding) != 1:
            yield f"{title(body)} has {len(guarding)} PodDisruptionBudgets instead of one"
        elif guarding[0].get("maxUnavailable") != 1:
            yield f"{title(body)}: its PodDisruptionBudget does not let exactly one pod go"
        spread = pod_of(body).get("topologySpreadConstraints", [])
        if {constraint["topologyKey"] for constraint in spread} != {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }:
            yield f"{title(body)} is not spread over hosts and zones"
        if not all(selects(constraint["labelSelector"], labels) for constraint in spread):
            yield f"{title(body)} is spread by labels that it does not have"
        if body["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{title(body)} loses capacity while it is rolled out"


def selectors_match(objects: list[Object]) -> Iterator[str]:
    workloads = of_kind(objects, *WORKLOADS)
    for body in of_kind(objects, *LONG_LIVED):
        selecting = [other for other in workloads if selects(body["spec"]["selector"], pod_labels(other))]
        if selecting != [body]:
            yield f"{title(body)} selects {', '.join(title(other) for other in selecting) or 'nothing'}"
    for service in of_kind(objects, "Service"):
        behind = [body for body in workloads if selects({"matchLabels": service["spec"]["selector"]}, pod_labels(body))]
        if not behind:
            yield f"{title(service)} selects nothing"
        for port in service["spec"]["ports"]:
            for body in behind:
                if port["targetPort"] not in {p["name"] for c in containers(body) for p in c.get("ports", [])}:
                    yield f"{title(service)}: {title(body)} has no port {port['targetPort']!r}"


def references_exist(objects: list[Object]) -> Iterator[str]:
    present = {(body["kind"], body["metadata"]["name"]) for body in objects}
    for body in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = body["spec"]["scaleTargetRef"]
        if (target.get("kind", "Deployment"), target["name"]) not in present:
            yield f"{title(body)} scales {target['name']}, which is not there"
    for body in of_kind(objects, *WORKLOADS):
        for container in containers(body):
            for source in container.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                if name is not None and ("ConfigMap", name) not in present:
                    yield f"{title(body)} reads the ConfigMap {name}, which is not there"


def the_way_in_is_encrypted(objects: list[Object]) -> Iterator[str]:
    services = {body["metadata"]["name"] for body in of_kind(objects, "Service")}
    for body in of_kind(objects, "Ingress"):
        hosts = {host for entry in body["spec"].get("tls", []) if entry.get("secretName") for host in entry["hosts"]}
        for rule in body["spec"]["rules"]:
            if rule.get("host") not in hosts:
                yield f"{title(body)} serves {rule.get('host')} without TLS"
            for path in rule["http"]["paths"]:
                name = path["backend"]["service"]["name"]
                if name not in services:
                    yield f"{title(body)} leads to the Service {name}, which is not there"


def traffic_is_denied_by_default(objects: list[Object]) -> Iterator[str]:
    policies = [body["spec"] for body in of_kind(objects, "NetworkPolicy")]
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if of_kind(objects, "Deployment") and everything not in policies:
        yield "a pod that no policy names may talk to everybody"
    for body in of_kind(objects, *WORKLOADS):
        for direction in ("Ingress", "Egress"):
            isolating = [
                p for p in policies if direction in p["policyTypes"] and selects(p["podSelector"], pod_labels(body))
            ]
            if not isolating:
                yield f"{title(body)}: {direction} is open to everybody"


def autoscalers_own_the_replicas(objects: list[Object]) -> Iterator[str]:
    scaled = {b["spec"]["scaleTargetRef"]["name"] for b in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")}
    for body in of_kind(objects, "Deployment"):
        if body["metadata"]["name"] in scaled and "replicas" in body["spec"]:
            yield f"{title(body)} sets the replicas that its autoscaler owns"


def names_are_ours(objects: list[Object]) -> Iterator[str]:
    for body in of_kind(objects, *WORKLOADS):
        if is_ours(body) and not body["metadata"]["name"].startswith("tocsin-"):
            yield f"{title(body)} is not named after the product"


RULES: tuple[Rule, ...] = (
    pods_are_restricted,
    containers_are_restricted,
    resources_are_bounded,
    images_are_pinned,
    identities_are_least,
    secrets_are_referenced,
    secrets_are_not_in_manifests,
    long_lived_are_probed,
    deployments_survive,
    selectors_match,
    references_exist,
    the_way_in_is_encrypted,
    traffic_is_denied_by_default,
    autoscalers_own_the_replicas,
    names_are_ours,
)
