"""What the processes find in their environment, worked out from the manifests."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

import yaml
from pydantic import BaseModel

from app.settings import Settings
from tests.deploy.kustomize import Object
from tests.deploy.manifests import K8S, named


class NoSuchSecret(KeyError):
    """A manifest asks for a Secret or a key that the script does not make."""


@functools.cache
def printed_secrets() -> dict[str, dict[str, str]]:
    """This will return the Secrets that ``make-secrets.sh`` prints, by name."""
    done = subprocess.run([str(K8S / "make-secrets.sh"), "ns"], capture_output=True, text=True, timeout=30, check=True)
    return {body["metadata"]["name"]: body["stringData"] for body in yaml.safe_load_all(done.stdout)}


def environment(objects: list[Object], container: dict[str, Any]) -> dict[str, str]:
    """This will return a container's variables, Secrets filled in; an optional Secret counts as absent.

    Raises:
        NoSuchSecret: A reference leads nowhere.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container.get("env", []):
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            found[entry["name"]] = entry["value"]
            continue
        value = printed_secrets().get(reference["name"], {}).get(reference["key"])
        if value is not None:
            found[entry["name"]] = value
        elif not reference.get("optional"):
            raise NoSuchSecret(f"{reference['name']}/{reference['key']}")
    return found


def setting_names(model: type[BaseModel] = Settings, prefix: str = "TOCSIN_") -> set[str]:
    """This will return the environment variables that the settings read."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        kind, variable = field.annotation, f"{prefix}{name.upper()}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= setting_names(kind, f"{variable}__")
        else:
            names.add(variable)
    return names
