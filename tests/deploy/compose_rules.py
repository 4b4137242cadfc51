"""What Docker Compose refuses while it loads a file, though the file is valid by the specification's schema.

Source: compose-spec/compose-go, loader/validate.go (checkConsistency), graph/services.go, validation/validation.go (2026-07).
Its rules about fields that are not used here are one rule: such a field is not used.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterator
from typing import Any

Service = dict[str, Any]

# Each says again what `deploy` says, and Compose refuses a difference; the absence there counts as one.
BESIDE_DEPLOY = ("cpus", "mem_limit", "mem_reservation", "pids_limit", "scale")
# Rules hang on these too: whoever begins to use one adds its rule.
UNUSED = (
    "configs",
    "container_name",
    "develop",
    "env_file",
    "extends",
    "models",
    "network_mode",
    "platform",
    "secrets",
)


def refusals(document: dict[str, Any]) -> list[str]:
    """This will return what Compose would refuse, a sentence each."""
    found = [f"{name} {what}" for name, service in document["services"].items() for what in _of(service, document)]
    return [*found, *(f"{' -> '.join(cycle)} is a cycle" for cycle in _cycles(document["services"]))]


def _of(service: Service, document: dict[str, Any]) -> Iterator[str]:
    if "image" not in service and "build" not in service:
        yield "has neither an image nor a build context"
    yield from (f"uses {field}" for field in UNUSED if field in service)
    if "deploy" in service:
        yield from (f"sets {field} beside deploy" for field in BESIDE_DEPLOY if field in service)
    build = service.get("build", {})
    if set(build) - {"context", "target"}:
        yield f"builds with {', '.join(sorted(set(build) - {'context', 'target'}))}"
    test = service.get("healthcheck", {}).get("test", ["NONE"])
    if test[0] not in {"CMD", "CMD-SHELL", "NONE"}:
        yield f"is checked by {test[0]!r}"
    for network in service.get("networks", []):
        if network not in document["networks"]:
            yield f"is on the network {network}, which is not there"
    for port in service.get("ports", []):
        if port.count(":") == 2 and not _is_address(port.split(":")[0]):
            yield f"publishes {port}, which begins with no address"
    yield from _mounts(service, document)
    yield from _dependencies(service, document["services"])


def _mounts(service: Service, document: dict[str, Any]) -> Iterator[str]:
    targets = [entry.split(":")[0] for entry in service.get("tmpfs", [])]
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2]
        targets.append(posixpath.normpath(target))
        if not source.startswith((".", "/", "~")) and source not in document["volumes"]:
            yield f"mounts the volume {source}, which is not there"
    for target in sorted({target for target in targets if targets.count(target) > 1}):
        yield f"mounts {target} twice"


def _dependencies(service: Service, services: dict[str, Service]) -> Iterator[str]:
    for name in service.get("depends_on", {}):
        if name not in services:
            yield f"waits for {name}, which is not there"
        # A service that has no profile is always there; one of a profile is when a profile of it is chosen.
        elif services[name].get("profiles") and services[name]["profiles"] != service.get("profiles"):
            yield f"waits for {name}, which only a profile starts"


def _cycles(services: dict[str, Service]) -> Iterator[list[str]]:
    def walk(path: list[str]) -> Iterator[list[str]]:
        for name in services.get(path[-1], {}).get("depends_on", {}):
            if name == path[0]:
                yield [*path, name]
            elif name not in path:
                yield from walk([*path, name])

    for name in services:
        yield from walk([name])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
