"""The alert rules as objects of the Prometheus operator, which reads no rule files.

One object for each file, named after it, so that an overlay can leave one out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# The node exporter's. Where there is an operator, the cluster's own monitoring watches the machines.
LEFT_TO_THE_CLUSTER = frozenset({"host"})
HEAD = """\
# Made from deploy/observability/prometheus/rules/ and rules-kubernetes/ by python -m app.observability.generate: change those.
# Only the address of the runbooks is to be replaced here.
"""


def render_rules(prometheus: Path) -> str:
    """This will return a PrometheusRule for each rule file that a cluster needs.

    Args:
        prometheus: The folder with ``rules`` and ``rules-kubernetes``.
    """
    files = [*sorted((prometheus / "rules").glob("*.yaml")), *sorted((prometheus / "rules-kubernetes").glob("*.yaml"))]
    objects = [_object(path) for path in files if path.stem not in LEFT_TO_THE_CLUSTER]
    return HEAD + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)


def _object(path: Path) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "tocsin", "app.kubernetes.io/part-of": "tocsin"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"tocsin-{path.stem}", "labels": labels},
        "spec": yaml.safe_load(path.read_text()),
    }


class _Dumper(yaml.SafeDumper):
    """Repeats what is the same: a person who changes one alert here must not change another with it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Lists stand in from their names, as in the other manifests.
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Expressions of several lines stay as they were written.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
