"""Every object is one that a Kubernetes API server of the releases named here would take, field by field."""

from __future__ import annotations

import functools
import json
import subprocess
from importlib.resources import files
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from jsonschema.protocols import Validator
from kubernetes_validate.utils import ValidationError  # type: ignore[import-untyped]
from referencing import Registry, Resource

from tests.deploy.custom_resources import CUSTOM
from tests.deploy.kustomize import Object
from tests.deploy.manifests import K8S, OVERLAYS, named, of_kind, pod_of, render, title

# The oldest release that knows every field that is used (preStop.sleep), and the newest one with schemas.
RELEASES = ("1.30", "1.37")


@functools.cache
def _schema(release: str, name: str) -> dict[str, Any]:
    folder = files("kubernetes_validate").joinpath("kubernetes-json-schema", f"v{release}.0-local-strict")
    schema: dict[str, Any] = json.loads(folder.joinpath(name).read_text())
    return schema


@functools.cache
def validator(release: str, api_version: str, kind: str) -> Validator:
    """This will return what ``kubernetes_validate.validate`` makes for every object anew, once per kind."""
    group, _, version = api_version.rpartition("/")
    prefix = f"{group.split('.')[0]}-" if group else ""
    schema = _schema(release, f"{kind.lower()}-{prefix}{version}.json")
    registry: Registry[Any] = Resource.from_contents(_schema(release, "_definitions.json")) @ Registry()
    registry = Resource.from_contents(schema) @ registry
    return jsonschema.Draft202012Validator(schema, registry=registry)


def problems(body: Object, release: str) -> list[str]:
    checker = (
        jsonschema.Draft202012Validator(CUSTOM[body["kind"]])
        if body["kind"] in CUSTOM
        else validator(release, body["apiVersion"], body["kind"])
    )
    return [f"{title(body)}: {'.'.join(map(str, e.path))}: {e.message}" for e in checker.iter_errors(body)]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_follows_the_schema(overlay: str, release: str) -> None:
    assert [problem for body in render(overlay) for problem in problems(body, release)] == []


def test_the_short_way_says_what_the_package_says() -> None:
    objects = [body for body in render("production") if body["kind"] in {"Deployment", "Ingress", "ServiceAccount"}][:3]
    for body in objects:
        assert kubernetes_validate.validate(body, RELEASES[-1], strict=True) == RELEASES[-1]
    deployment = of_kind(render("production"), "Deployment")[0]
    deployment["spec"]["replicaCount"] = 2
    with pytest.raises(ValidationError, match="replicaCount"):
        kubernetes_validate.validate(deployment, RELEASES[-1], strict=True)
    assert any("replicaCount" in problem for problem in problems(deployment, RELEASES[-1]))


def test_a_misspelt_field_is_found_wherever_it_is() -> None:
    objects = render("production")
    pod_of(named(objects, "Deployment", "tocsin-api"))["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = (
        True
    )
    named(objects, "PodDisruptionBudget", "tocsin-api")["spec"]["maxUnavailble"] = 1
    scaler = named(objects, "ScaledObject", "tocsin-worker-intake")["spec"]
    scaler["triggers"][0]["metadata"]["treshold"] = "5"
    scaler["triggers"][0]["metadata"]["threshold"] = 5
    endpoint = named(objects, "ServiceMonitor", "tocsin")["spec"]["endpoints"][0]
    endpoint["intervall"] = "15s"
    endpoint["relabelings"][0]["target_label"] = "job"
    rules = named(objects, "PrometheusRule", "tocsin-mail")["spec"]["groups"][0]["rules"]
    rules[0]["severity"] = "p1"
    rules[1]["for"] = "five minutes"
    rules.append({"expr": "vector(1)"})
    found = [problem for body in objects for problem in problems(body, RELEASES[-1])]
    words = ("intervall", "target_label", "readOnlyRootFileSystem", "maxUnavailble", "treshold", "'severity' was")
    for word in (*words, "5 is not of type 'string'", "'five minutes' does not match", "not valid under any"):
        assert any(word in problem for problem in found), word


def test_the_secrets_that_the_script_prints_are_secrets() -> None:
    printed = subprocess.run(
        [str(K8S / "make-secrets.sh"), "ns"], capture_output=True, text=True, timeout=30, check=True
    )
    secrets = list(yaml.safe_load_all(printed.stdout))
    assert {body["metadata"]["namespace"] for body in secrets} == {"ns"}
    assert [problem for body in secrets for problem in problems(body, RELEASES[-1])] == []
