"""The frozen plan: what a run will do, on what, with which values, under which policy. An approval binds its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.remediation.rules.document import Document, Input, UseStep
from app.remediation.rules.loader import LoadedRunbook, canonical
from app.remediation.rules.references import input_problem
from app.remediation.rules.states import Mode


@dataclass(frozen=True, kw_only=True)
class PlannedTarget:
    """A target as it was when the run started; ``fingerprint`` tells later whether it still is the same."""

    id: UUID
    name: str
    kind: str
    environment: str
    owner: str
    labels: Mapping[str, str]
    fingerprint: str

    def as_values(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "environment": self.environment,
            "owner": self.owner,
            "labels": dict(self.labels),
        }

    def as_json(self) -> dict[str, Any]:
        return self.as_values() | {"kind": self.kind, "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PlannedTarget:
        return cls(**(dict(value) | {"id": UUID(value["id"])}))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run's plan. ``frames`` holds the runbook under ``""`` and each used one under the path of its step."""

    runbook: str
    version: int
    digest: str
    mode: Mode
    frames: Mapping[str, Document]
    inputs: Mapping[str, Mapping[str, Any]]
    targets: Mapping[str, PlannedTarget]
    incident: Mapping[str, Any]

    @property
    def root(self) -> Document:
        return self.frames[""]

    @property
    def cooldown(self) -> timedelta:
        return self.root.limits.cooldown

    def as_json(self) -> dict[str, Any]:
        return {
            "runbook": self.runbook,
            "version": self.version,
            "digest": self.digest,
            "mode": self.mode.value,
            "frames": {name: canonical(document) for name, document in self.frames.items()},
            "inputs": {name: dict(values) for name, values in self.inputs.items()},
            "targets": {slot: target.as_json() for slot, target in self.targets.items()},
            "incident": dict(self.incident),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        return cls(
            runbook=value["runbook"],
            version=value["version"],
            digest=value["digest"],
            mode=Mode(value["mode"]),
            frames={name: Document.model_validate(document) for name, document in value["frames"].items()},
            inputs=value["inputs"],
            targets={slot: PlannedTarget.from_json(target) for slot, target in value["targets"].items()},
            incident=value["incident"],
        )

    def base_values(self, frame: str) -> dict[str, Any]:
        """This will return the names that do not depend on steps."""
        return {
            "inputs": self.inputs[frame],
            "incident": self.incident,
            "target": {slot: target.as_values() for slot, target in self.targets.items()},
        }


class InputRefused(ValueError):
    """A value given for an input does not fit."""


def build_frames(loaded: LoadedRunbook, library: Mapping[str, Document]) -> dict[str, Document]:
    """This will collect the runbook and, under ``step/step``, every runbook that it uses."""
    frames = {"": loaded.document}

    def collect(prefix: str, document: Document) -> None:
        for step in document.steps:
            if isinstance(step, UseStep):
                name = f"{prefix}/{step.key}" if prefix else step.key
                frames[name] = library[step.runbook]
                collect(name, library[step.runbook])

    collect("", loaded.document)
    return frames


def resolve_inputs(frames: Mapping[str, Document], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """This will give each frame's inputs their values: what was given, else the default.

    Raises:
        InputRefused: One is unknown, missing, or does not fit its declaration.
    """
    unknown = set(given) - set(frames[""].inputs)
    if unknown:
        raise InputRefused(f"the runbook has no input {', '.join(sorted(unknown))}")
    return {
        name: {key: _value(key, declared, given) for key, declared in document.inputs.items()}
        for name, document in frames.items()
    }


def _value(name: str, declared: Input, given: Mapping[str, Any]) -> Any:
    value = given.get(name, declared.default)
    if value is None:
        raise InputRefused(f"the input {name!r} has no value and no default")
    if problem := input_problem(declared, value):
        raise InputRefused(f"the input {name!r} {problem}")
    return value
