"""The part of kustomize that ``deploy/k8s`` uses, so that its overlays can be built where there is no kubectl.

Strict on purpose: a field or a situation that it does not know is an error, never a silent difference. Each feature is held
against what kustomize 5.5 itself made of it in ``test_kustomize.py``.

Source: the reference of the kustomization file, https://kubectl.docs.kubernetes.io/references/kustomize/ (2026-11).
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

Object = dict[str, Any]
GATHERING = frozenset({"resources", "configMapGenerator", "components", "patches"})
TRANSFORMING = frozenset({"namespace", "nameSuffix", "labels", "replicas", "images"})
CLUSTER_SCOPED = frozenset({"Namespace"})
WITH_TEMPLATE = frozenset({"Deployment", "StatefulSet", "Job", "CronJob"})
TAG_OR_DIGEST = re.compile(r"(:[\w.-]+)?(@[\w:]+)?$")
HASH_ALPHABET = str.maketrans("013ae", "ghkmt")


class Unsupported(ValueError):
    """The kustomization asks for something that this builder does not do."""


@dataclass
class Resource:
    """An object on its way. ``hashed`` marks a generated one, whose name gets a hash of its content in the end."""

    body: Object
    hashed: bool = False

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


def build(folder: Path) -> list[Object]:
    """This will return the objects that ``kustomize build`` prints for the folder, in no particular order."""
    resources = _accumulate(folder, [])
    renamed = {resource.name: _add_hash(resource) for resource in resources if resource.hashed}
    for resource in resources:
        if resource.kind in WITH_TEMPLATE:
            _rename_config_maps(template_of(resource.body)["spec"], renamed)
    identities = [(r.kind, r.body["metadata"].get("namespace"), r.name) for r in resources]
    if len(set(identities)) != len(identities):
        raise ValueError(f"two objects have the same identity in {folder}")
    return [resource.body for resource in resources]


def template_of(body: Object) -> Object:
    """This will return the pod template of a workload; a CronJob's lies inside the template of its Jobs."""
    spec: Object = body["spec"]
    template: Object = (spec["jobTemplate"]["spec"] if body["kind"] == "CronJob" else spec)["template"]
    return template


def _accumulate(folder: Path, given: list[Resource]) -> list[Resource]:
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(spec) - GATHERING - TRANSFORMING - {"apiVersion", "kind"}
    if unknown:
        raise Unsupported(f"{folder.name}: {', '.join(sorted(unknown))}")
    resources = list(given)
    for entry in spec.get("resources", []):
        path = folder / entry
        resources += _accumulate(path, []) if path.is_dir() else _load(path)
    for generator in spec.get("configMapGenerator", []):
        _generate(resources, generator)
    for entry in spec.get("components", []):
        resources = _accumulate(folder / entry, resources)
    for patch in spec.get("patches", []):
        _patch(folder, resources, patch)
    _transform(resources, spec)
    return resources


def _transform(resources: list[Resource], spec: Object) -> None:
    if "namespace" in spec:
        _set_namespace(resources, spec["namespace"])
    if "nameSuffix" in spec:
        _add_suffix(resources, spec["nameSuffix"])
    for label in spec.get("labels", []):
        _add_labels(resources, label)
    for count in spec.get("replicas", []):
        _set_replicas(resources, count)
    for image in spec.get("images", []):
        _set_image(resources, image)


def _load(path: Path) -> list[Resource]:
    return [Resource(body) for body in yaml.safe_load_all(path.read_text()) if body is not None]


def _generate(resources: list[Resource], generator: Object) -> None:
    _expect(generator, {"name", "behavior", "literals"})
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    found = [r for r in resources if r.kind == "ConfigMap" and r.name == generator["name"]]
    if generator.get("behavior", "create") == "merge":
        (target,) = found
        target.body["data"] |= data
    elif found:
        raise ValueError(f"there is a ConfigMap {generator['name']} already")
    else:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        resources.append(Resource(body, hashed=True))


def _patch(folder: Path, resources: list[Resource], patch: Object) -> None:
    _expect(patch, {"target", "patch", "path"})
    _expect(patch["target"], {"kind", "name"})
    operations = yaml.safe_load(patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text())
    if not isinstance(operations, list):
        raise Unsupported("a strategic merge patch")
    target = patch["target"]
    matching = [r for r in resources if r.kind == target["kind"] and target.get("name", r.name) == r.name]
    if not matching:
        raise ValueError(f"no object for the patch of {target}")
    for resource in matching:
        for operation in operations:
            apply_operation(resource.body, operation)


def apply_operation(document: Any, operation: Object) -> None:
    """This will apply one ``add``, ``replace`` or ``remove`` in place.

    Source: RFC 6902, section 4.
    """
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    for part in parents:
        document = document[int(part)] if isinstance(document, list) else document[part]
    value = copy.deepcopy(operation.get("value"))
    kind = operation["op"]
    if isinstance(document, list):
        index = len(document) if last == "-" else int(last)
        if kind == "add":
            document.insert(index, value)
            return
        key: Any = index
    else:
        key = last
    if kind == "remove":
        del document[key]
    elif kind in {"add", "replace"}:
        if kind == "replace" and isinstance(document, dict) and key not in document:
            raise KeyError(operation["path"])
        document[key] = value
    else:
        raise Unsupported(f"patch operation {kind}")


def _set_namespace(resources: list[Resource], namespace: str) -> None:
    for resource in resources:
        if resource.kind not in CLUSTER_SCOPED:
            resource.body["metadata"]["namespace"] = namespace
        elif resource.name != namespace:
            raise Unsupported("a Namespace that the transformer would rename")


def _add_suffix(resources: list[Resource], suffix: str) -> None:
    for resource in resources:
        if resource.kind not in {"Deployment", "PodDisruptionBudget"}:
            raise Unsupported(f"nameSuffix on a {resource.kind}, which others may refer to")
        resource.body["metadata"]["name"] += suffix


def _add_labels(resources: list[Resource], label: Object) -> None:
    _expect(label, {"pairs", "includeSelectors", "includeTemplates"})
    pairs, selectors = label["pairs"], label.get("includeSelectors", False)
    for resource in resources:
        body = resource.body
        body["metadata"].setdefault("labels", {}).update(pairs)
        if resource.kind in WITH_TEMPLATE and (selectors or label.get("includeTemplates", False)):
            for metadata in _template_metadata(body):
                metadata.setdefault("labels", {}).update(pairs)
        if selectors:
            if resource.kind not in {"Deployment", "PodDisruptionBudget"}:
                raise Unsupported(f"includeSelectors on a {resource.kind}")
            body["spec"]["selector"]["matchLabels"].update(pairs)
            for constraint in body["spec"].get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
                constraint["labelSelector"]["matchLabels"].update(pairs)


def _template_metadata(body: Object) -> list[Object]:
    """The metadata of what a workload makes: pods, and a CronJob's Jobs as well."""
    jobs = [body["spec"]["jobTemplate"].setdefault("metadata", {})] if body["kind"] == "CronJob" else []
    return [*jobs, template_of(body).setdefault("metadata", {})]


def _set_replicas(resources: list[Resource], count: Object) -> None:
    (target,) = [r for r in resources if r.kind in {"Deployment", "StatefulSet"} and r.name == count["name"]]
    target.body["spec"]["replicas"] = count["count"]


def _set_image(resources: list[Resource], image: Object) -> None:
    _expect(image, {"name", "newName", "newTag", "digest"})
    name = str(image.get("newName", image["name"]))
    suffix = f"@{image['digest']}" if "digest" in image else f":{image['newTag']}"
    for resource in resources:
        if resource.kind in WITH_TEMPLATE:
            pod = template_of(resource.body)["spec"]
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                if TAG_OR_DIGEST.sub("", container["image"]) == image["name"]:
                    container["image"] = name + suffix


def _add_hash(resource: Resource) -> str:
    # The name is empty: kustomize reads it from a place that a generated object does not have yet.
    content = {"data": resource.body["data"], "kind": "ConfigMap", "name": ""}
    encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(encoded).hexdigest()[:10].translate(HASH_ALPHABET)
    resource.body["metadata"]["name"] += f"-{digest}"
    return resource.name


def _rename_config_maps(pod: Object, renamed: dict[str, str]) -> None:
    if any("configMap" in volume or "projected" in volume for volume in pod.get("volumes", [])):
        raise Unsupported("a ConfigMap as a volume")
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        if any("configMapKeyRef" in entry.get("valueFrom", {}) for entry in container.get("env", [])):
            raise Unsupported("a single key of a ConfigMap")
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                reference = source["configMapRef"]
                reference["name"] = renamed.get(reference["name"], reference["name"])


def _expect(given: Object, known: set[str]) -> None:
    if set(given) - known:
        raise Unsupported(", ".join(sorted(set(given) - known)))
