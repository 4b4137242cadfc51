"""Each process reaches exactly what it needs, and is reached by exactly who must."""

from __future__ import annotations

import ipaddress

import pytest

from tests.deploy.kustomize import Object
from tests.deploy.manifests import WORKLOADS, named, of_kind, render
from tests.deploy.network import OPEN, flows

DNS = {"kube-system/kube-dns:53", "kube-system/kube-dns:53/UDP"}
SPANS = {"monitoring/*:4318"}
WORLD = {"0.0.0.0/0 except private:1-65535", "::/0 except private:1-65535"}
STORES = {
    "dev": ({"postgresql:5432"}, {"valkey:6379"}),
    "production": ({"10.20.0.0/24:5432"}, {"10.20.1.0/24:6379"}),
}
# The queues whose jobs call others: a runbook's targets, ticket systems and models, people, checked addresses.
OUTGOING = {"remediation", "enhancement", "notification", "maintenance"}
INCOMING = {
    "tocsin-api": {"ingress-nginx/*:8080", "monitoring/*:9101"},
    "tocsin-relay": {"monitoring/*:9102"},
    "tocsin-migrate": set(),
    "tocsin-backup": set(),
    "tocsin-smtp": {"mail/*:2525", "monitoring/*:9104"},
    "postgresql": {"api+relay+worker+smtp+migrate:5432"},
    "valkey": {"api+relay+worker+smtp:6379"},
}


def expected_egress(overlay: str, name: str) -> set[str]:
    postgresql, redis = STORES[overlay]
    if name in {"postgresql", "valkey"}:
        return set()
    if name in {"tocsin-migrate", "tocsin-backup"}:
        return DNS | postgresql
    queue = name.removeprefix("tocsin-worker-")
    return DNS | postgresql | redis | SPANS | (WORLD if queue in OUTGOING else set())


def expected_ingress(name: str) -> set[str]:
    return {"monitoring/*:9103"} if name.startswith("tocsin-worker-") else INCOMING[name]


def everything(overlay: str) -> list[Object]:
    return render(overlay) + (render("production/migrate") if overlay == "production" else [])


@pytest.mark.parametrize("overlay", STORES)
def test_each_process_reaches_exactly_what_it_needs(overlay: str) -> None:
    objects = everything(overlay)
    found = {body["metadata"]["name"]: flows(objects, body, "Egress") for body in of_kind(objects, *WORKLOADS)}
    assert found == {name: expected_egress(overlay, name) for name in found}


@pytest.mark.parametrize("overlay", STORES)
def test_each_process_is_reached_by_exactly_who_must(overlay: str) -> None:
    objects = everything(overlay)
    found = {body["metadata"]["name"]: flows(objects, body, "Ingress") for body in of_kind(objects, *WORKLOADS)}
    assert found == {name: expected_ingress(name) for name in found}


def solver() -> Object:
    """What cert-manager runs for as long as an issuer asks for a proof.

    Source: cert-manager's code, pkg/apis/acme/v1/types.go (label) and pkg/issuer/acme/http/http.go (port) (2026-11).
    """
    metadata = {"labels": {"acme.cert-manager.io/http01-solver": "true"}}
    ports = [{"name": "http", "containerPort": 8089}]
    pod = {"containers": [{"name": "acmesolver", "ports": ports}]}
    return {"kind": "Pod", "spec": {"template": {"metadata": metadata, "spec": pod}}}


def test_the_issuer_reaches_the_proof_of_the_host_through_the_ingress_and_the_proof_reaches_nobody() -> None:
    objects = render("production")
    assert of_kind(objects, "Ingress")[0]["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
    assert flows(objects, solver(), "Ingress") == {"ingress-nginx/*:8089"}
    assert flows(objects, solver(), "Egress") == set()
    # From where the API's visitors come: the same controller answers for both.
    api = flows(objects, named(objects, "Deployment", "tocsin-api"), "Ingress")
    assert {peer.partition(":")[0] for peer in flows(objects, solver(), "Ingress")} <= {
        peer.partition(":")[0] for peer in api
    }


def test_the_world_is_without_private_and_metadata_addresses() -> None:
    (rule,) = named(render("production"), "NetworkPolicy", "tocsin-world")["spec"]["egress"]
    kept = [ipaddress.ip_network(net) for peer in rule["to"] for net in peer["ipBlock"]["except"]]
    for address in (
        "10.1.2.3",
        "172.31.0.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "fd00:ec2::254",
        "::1",
    ):
        assert any(
            ipaddress.ip_address(address) in net for net in kept if net.version == ipaddress.ip_address(address).version
        )
    assert not any(ipaddress.ip_address("93.184.216.34") in net for net in kept if net.version == 4)


def test_a_pod_that_no_policy_names_would_be_seen_as_open() -> None:
    objects = [body for body in render("production") if body["kind"] != "NetworkPolicy"]
    assert flows(objects, named(objects, "Deployment", "tocsin-relay"), "Egress") == {OPEN}


def test_a_wider_policy_would_be_seen() -> None:
    objects = render("production")
    named(objects, "NetworkPolicy", "tocsin-world")["spec"]["podSelector"] = {}
    relay = named(objects, "Deployment", "tocsin-relay")
    assert flows(objects, relay, "Egress") == expected_egress("production", "tocsin-relay") | WORLD
