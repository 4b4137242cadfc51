"""What the runbooks' pages tell people to look at and to type is really there."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command

from app.api import create_api
from app.cli import COMMANDS
from app.core.resources import Resources
from app.observability.generate import DASHBOARDS
from app.observability.generate.grafana import render
from app.observability.metrics import DECLARED
from tests.observability_deploy.files import ROOT, RUNBOOKS
from tests.observability_deploy.test_names import known, literals

__all__ = ["known"]

PAGES = {path.name: path.read_text() for path in (*RUNBOOKS.glob("*.md"), ROOT / "docs/how-to/watch-tocsin.md")}


def mentioned(pattern: str) -> Iterator[tuple[str, str]]:
    """Each page that has the pattern, with what its groups caught, one after the other."""
    for name, text in PAGES.items():
        for found in re.finditer(pattern, text):
            yield name, " ".join(found.groups() or (found.group(),))


def test_settings_exist() -> None:
    settings = set(re.findall(r"TOCSIN_[A-Z0-9_]+", (ROOT / ".env.example").read_text()))
    wanted = list(mentioned(r"\bTOCSIN_[A-Z0-9_]+"))
    assert wanted
    assert [(page, name) for page, name in wanted if name not in settings] == []


def test_metrics_exist(known: dict[str, set[str]]) -> None:
    wanted = list(mentioned(r"\btocsin_(?!runbook\b)[a-z_]+"))
    assert wanted
    assert [(page, name) for page, name in wanted if name not in known and name not in DECLARED] == []


def test_commands_exist() -> None:
    wanted = list(mentioned(r"`(?:\$ )?tocsin ([a-z]+(?: [a-z][a-z-]+)?)"))
    assert wanted
    assert [(page, command) for page, command in wanted if not is_command(command)] == []


def is_command(text: str) -> bool:
    first, _, second = text.partition(" ")
    if first not in COMMANDS:
        return False
    if not second:
        return True
    module, _ = COMMANDS[first]
    group = get_command(load(module))
    return second in getattr(group, "commands", {})


def load(module: str) -> typer.Typer:
    found: typer.Typer = importlib.import_module(module).app
    return found


def test_routes_exist(resources: Resources) -> None:
    paths = create_api(resources, interactive=False).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    wanted = list(mentioned(r"`(GET|POST|PUT|DELETE|PATCH) (/[a-z0-9/_{}-]+)"))
    assert wanted
    assert [(page, route) for page, route in wanted if route not in routes] == []


def test_log_events_exist() -> None:
    words = literals()
    wanted = list(mentioned(r"`((?:relay|worker|ingest|job|request|isolation|metrics)\.[a-z_]+)`"))
    assert wanted
    assert [(page, event) for page, event in wanted if event not in words] == []


def test_panels_exist() -> None:
    titles = {panel["title"] for board in DASHBOARDS for panel in json.loads(render(board))["panels"]}
    wanted = [
        (page, title)
        for page, title in mentioned(r"(?<!\*)\*([A-Z][A-Za-z -]+)\*(?!\*)")
        if title not in {"Status, Rules", "Status, Runtime"}
    ]
    assert wanted
    assert [(page, title) for page, title in wanted if title not in titles] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    folder = ROOT / "docs/how-to" if page == "watch-tocsin.md" else RUNBOOKS
    links = re.findall(r"\]\(([^)#]+)\)", PAGES[page])
    assert [link for link in links if not link.startswith("http") and not (folder / link).exists()] == []
