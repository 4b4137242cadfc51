"""Who may talk to whom, worked out from the NetworkPolicies the way a network plug-in does.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/ (2026-11): policies add up; a pod that one of
them selects for a direction may only do in it what one of them lists.
"""

from __future__ import annotations

from typing import Any

from tests.deploy.kustomize import Object
from tests.deploy.manifests import COMPONENT, containers, of_kind, pod_labels, selects

OPEN = "anybody"


def flows(objects: list[Object], workload: Object, direction: str) -> set[str]:
    """This will return ``peer:port`` of all that a workload's pods may reach (Egress) or be reached by (Ingress)."""
    labels = pod_labels(workload)
    policies = [
        body["spec"]
        for body in of_kind(objects, "NetworkPolicy")
        if direction in body["spec"]["policyTypes"] and selects(body["spec"]["podSelector"], labels)
    ]
    if not policies:
        return {OPEN}
    numbers = {port["name"]: port["containerPort"] for c in containers(workload) for port in c.get("ports", [])}
    key, side = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return {
        f"{_peer(peer)}:{_port(port, numbers)}"
        for policy in policies
        for rule in policy.get(key, [])
        for peer in rule.get(side, [{}])
        for port in rule.get("ports", [{}])
    }


def _peer(peer: dict[str, Any]) -> str:
    if not peer:
        return OPEN
    if "ipBlock" in peer:
        return f"{peer['ipBlock']['cidr']}{' except private' if peer['ipBlock'].get('except') else ''}"
    pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
    place = f"{namespaces['matchLabels']['kubernetes.io/metadata.name']}/" if namespaces is not None else ""
    return place + (_pods(pods) if pods is not None else "*")


def _pods(selector: dict[str, Any]) -> str:
    names = [*selector.get("matchLabels", {}).values()]
    for expression in selector.get("matchExpressions", []):
        assert expression["key"] == COMPONENT, expression
        names.append("+".join(expression["values"]))
    return ",".join(names) or "*"


def _port(port: dict[str, Any], numbers: dict[str, int]) -> str:
    if not port:
        return "*"
    number = numbers.get(port["port"], port["port"]) if isinstance(port["port"], str) else port["port"]
    end = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{number}{end}{'' if port['protocol'] == 'TCP' else '/' + port['protocol']}"
