"""Write the dashboards to a folder, ``deploy/observability/grafana`` unless told otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

from app.observability.generate import DASHBOARDS
from app.observability.generate.grafana import render

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "observability" / "grafana"


def main(arguments: list[str]) -> None:
    """This will write one JSON file per dashboard."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (folder / f"{dashboard.uid}.json").write_text(render(dashboard))


if __name__ == "__main__":
    main(sys.argv[1:])
