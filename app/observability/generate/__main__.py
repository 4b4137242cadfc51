"""Write dashboards and the operator's rules to their places under ``deploy``, or all of them to a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from app.observability.generate import DASHBOARDS
from app.observability.generate.grafana import render
from app.observability.generate.rules import render_rules

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
DASHBOARD_FOLDER = DEPLOY / "observability" / "grafana"
RULES_FOLDER = DEPLOY / "k8s" / "overlays" / "production"


def main(arguments: list[str]) -> None:
    """This will write one JSON file per dashboard, and the rules in one file."""
    dashboards, rules = (Path(arguments[0]),) * 2 if arguments else (DASHBOARD_FOLDER, RULES_FOLDER)
    for folder in (dashboards, rules):
        folder.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (dashboards / f"{dashboard.uid}.json").write_text(render(dashboard))
    (rules / "rules.yaml").write_text(render_rules(DEPLOY / "observability" / "prometheus"))


if __name__ == "__main__":
    main(sys.argv[1:])
