"""What lies under ``deploy/observability``, read as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "observability"
RULES = DEPLOY / "prometheus" / "rules"
CLUSTER_RULES = DEPLOY / "prometheus" / "rules-kubernetes"
RUNBOOKS = ROOT / "docs" / "runbooks"


@dataclass(frozen=True)
class Rule:
    """One rule with the file and group that it stands in."""

    path: Path
    group: str
    data: dict[str, Any]

    @property
    def alert(self) -> str | None:
        name: str | None = self.data.get("alert")
        return name

    @property
    def severity(self) -> str:
        return str(self.data.get("labels", {}).get("severity"))

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.data.get("annotations", {})
        return found

    @property
    def name(self) -> str:
        return f"{self.alert}-{self.severity}" if self.alert else str(self.data["record"])


def rule_files() -> list[Path]:
    return sorted(RULES.glob("*.yaml"))


def cluster_rule_files() -> list[Path]:
    """The files that only a cluster loads, beside the others."""
    return sorted(CLUSTER_RULES.glob("*.yaml"))


def all_rules() -> Iterator[Rule]:
    for path in [*rule_files(), *cluster_rule_files()]:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for data in group["rules"]:
                yield Rule(path, group["name"], data)


def alerts() -> list[Rule]:
    return [rule for rule in all_rules() if rule.alert]


def recordings() -> list[Rule]:
    return [rule for rule in all_rules() if not rule.alert]
