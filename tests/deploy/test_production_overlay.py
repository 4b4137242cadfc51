"""What only the production overlay says: one release for all, the address that people see, and a pod's database connections."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from app.db.migrate import ROOT
from app.ingest.sources import all_sources
from app.net.signing import shipped_profiles
from tests.deploy.environment import environment
from tests.deploy.kustomize import Object
from tests.deploy.manifests import (
    K8S,
    built_by_kubectl,
    by_identity,
    containers,
    is_ours,
    named,
    of_kind,
    pod_of,
    render,
)
from tests.deploy.test_processes import read_settings

GUIDE = ROOT / "docs" / "how-to" / "deploy-on-kubernetes.md"


def test_the_migration_and_the_processes_are_of_one_release() -> None:
    images = {
        container["image"]
        for overlay in ("production", "production/migrate")
        for body in of_kind(render(overlay), "Deployment", "Job")
        for container in containers(body)
    }
    assert images == {"registry.example.com/tocsin:0.1.0"}


def test_the_address_is_the_ingress_host(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("production")
    api = pod_of(named(objects, "Deployment", "tocsin-api"))["containers"][0]
    settings = read_settings(environment(objects, api), monkeypatch)
    (rule,) = named(objects, "Ingress", "tocsin")["spec"]["rules"]
    assert settings.http.public_url == settings.ingest.public_url == f"https://{rule['host']}"


def test_the_ingress_lets_the_largest_body_through_that_a_source_may_send() -> None:
    """The refusal of a body that is too large, and its reason, are Tocsin's."""
    caps = [profile.limits.max_body_bytes for profile in shipped_profiles().values()]
    caps += [kind.max_body_bytes for kind in all_sources().values() if kind.max_body_bytes is not None]
    annotations = named(render("production"), "Ingress", "tocsin")["metadata"]["annotations"]
    size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert size.endswith("m")
    assert int(size[:-1]) * 1024 * 1024 > max(caps)


def test_the_ingress_asks_another_pod_only_where_nothing_can_happen_twice() -> None:
    """nginx passes on what was not sent, and of what was sent only what may be repeated, unless it is told otherwise."""
    annotations = named(render("production"), "Ingress", "tocsin")["metadata"]["annotations"]
    asked = annotations["nginx.ingress.kubernetes.io/proxy-next-upstream"].split()
    assert sorted(asked) == ["error", "timeout"]


def replicas(objects: list[Object], body: Object) -> int:
    """As many pods of a Deployment as its autoscaler goes up to, or as it says itself."""
    for scaler in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        if scaler["spec"]["scaleTargetRef"]["name"] == body["metadata"]["name"]:
            most = scaler["spec"].get("maxReplicas", scaler["spec"].get("maxReplicaCount"))
            return int(most)
    return int(body["spec"]["replicas"])


def surge(body: Object, count: int) -> int:
    """The pods that a roll-out runs beside these; Kubernetes rounds a share up."""
    most = body["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    return math.ceil(count * int(most.removesuffix("%")) / 100) if isinstance(most, str) else int(most)


def connections(monkeypatch: pytest.MonkeyPatch, pods: Callable[[Object, int], int]) -> int:
    """The connections to PostgreSQL when everything is scaled up as far as it goes.

    Args:
        monkeypatch: For the variables of each process.
        pods: How many pods there are of a Deployment that has so many replicas.
    """
    objects = render("production")
    total = 0
    for body in of_kind(objects, "Deployment"):
        assert is_ours(body)
        with monkeypatch.context() as patched:
            database = read_settings(environment(objects, pod_of(body)["containers"][0]), patched).database
        each = database.pool_size + database.pool_overflow + database.system_pool_size
        total += each * pods(body, replicas(objects, body))
    return total


def test_the_guide_says_how_many_connections_postgresql_must_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(GUIDE.read_text().split())
    found = re.search(
        r"at most (\d+) connections to PostgreSQL; (\d+) while .+? \(at most (\d+)\)\. Set `max_connections` above (\d+)",
        text,
    )
    assert found is not None
    steady = connections(monkeypatch, lambda body, count: count)
    rolling = connections(monkeypatch, lambda body, count: count + surge(body, count))
    # Each old pod drains still when the last new one runs.
    assert [int(number) for number in found.groups()] == [steady, rolling, 2 * steady, rolling]


def test_a_share_of_pods_is_rounded_up() -> None:
    api = named(render("production"), "Deployment", "tocsin-api")
    assert [surge(api, count) for count in (1, 4, 5, 10)] == [1, 1, 2, 3]
    relay = named(render("production"), "Deployment", "tocsin-relay")
    assert surge(relay, 2) == 1


def test_the_guides_way_to_do_without_mail_leaves_no_listener_and_nothing_that_asks_for_one(tmp_path: Path) -> None:
    (told,) = re.findall(r"```yaml\n(patches:\n  - patch: .+?)```", GUIDE.read_text(), re.S)
    patches = [yaml.safe_load(patch["patch"]) for patch in yaml.safe_load(told)["patches"]]
    gone = {(patch["kind"], patch["metadata"]["name"]) for patch in patches if patch["$patch"] == "delete"}
    present = by_identity(render("production"))
    asking = {("Deployment", "tocsin-smtp"), ("PrometheusRule", "tocsin-mail-wanted")}
    assert asking <= gone <= set(present)
    resource = os.path.relpath(K8S / "overlays" / "production", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{resource}]\n{told}")
    # Where there is no kubectl, that these objects exist is all that can be shown.
    built = built_by_kubectl(tmp_path)
    assert set(by_identity(built)) == set(present) - gone if built is not None else gone
