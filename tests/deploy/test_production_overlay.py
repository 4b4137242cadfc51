"""What only the production overlay says: one release for all, the address that people see, and a pod's database connections."""

from __future__ import annotations

import re

import pytest

from app.db.migrate import ROOT
from app.ingest.sources import all_sources
from app.net.signing import shipped_profiles
from tests.deploy.environment import environment
from tests.deploy.manifests import containers, is_ours, named, of_kind, pod_of, render
from tests.deploy.test_processes import component, read_settings

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


def connections(monkeypatch: pytest.MonkeyPatch) -> int:
    """The connections to PostgreSQL when everything is scaled up as far as it goes."""
    objects = render("production")
    scaled = {body["spec"]["scaleTargetRef"]["name"]: body["spec"] for body in of_kind(objects, "ScaledObject")}
    total = 0
    for body in of_kind(objects, "Deployment"):
        assert is_ours(body)
        with monkeypatch.context() as patched:
            database = read_settings(environment(objects, pod_of(body)["containers"][0]), patched).database
        each = database.pool_size + database.pool_overflow + database.system_pool_size
        most = {"api": 10, "relay": 2, "smtp": 2, "worker": 0}[component(body)]
        total += each * (scaled[body["metadata"]["name"]]["maxReplicaCount"] if component(body) == "worker" else most)
    return total


def test_the_guide_says_how_many_connections_postgresql_must_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"at most (\d+) connections", GUIDE.read_text())
    assert found is not None
    assert int(found[1]) == connections(monkeypatch)
