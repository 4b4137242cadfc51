"""The pages are one book: each can be found from the first, and what they name is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli import ALIASES, COMMANDS
from app.db.migrate import ROOT
from app.settings import Settings

BOOK = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *BOOK.rglob("*.md")])
# Written from the code itself, and held against it in test_reference.
WRITTEN = {page for page in PAGES if page.parent.name == "reference"}
READ = [page for page in PAGES if page not in WRITTEN]
BY_NAME = pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
LINK = re.compile(r"\]\(([^)\s]*)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|`|\$ |/bin/|\(|exec api )tocsin ((?:[^\n`\\|>]|\\\n)*)", re.MULTILINE)

# Variables of the command line, of scripts in the pages and of the files under deploy.
NO_SETTINGS = (
    *("TENANT", "SOURCE_SECRET", "SUPERUSER_DSN", "BACKUP_PASSWORD", "FAILPOINTS"),
    *("URL", "SECRET", "CONF", "PUBLIC_URL", "ENCRYPTION_KEYS"),
)


def targets(page: Path) -> Iterator[tuple[Path, str]]:
    """Each link inside the book: the file, and the heading if one is named."""
    for target in LINK.findall(page.read_text()):
        path, _, heading = target.partition("#")
        if "://" not in target and not target.startswith("mailto:"):
            yield (page.parent / path).resolve() if path else page, heading


def headings(page: Path) -> set[str]:
    """The names of a page's headings, as the usual viewers make them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


def code(page: Path) -> str:
    """What is set in type, with a word for each place that a reader fills in."""
    return re.sub(r"<[^>\n]*>", "X", "\n".join(CODE.findall(page.read_text())))


def test_each_page_can_be_reached_from_the_first() -> None:
    found, waiting = set(), [ROOT / "README.md", BOOK / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            waiting.extend(path for path, _ in targets(page))
    assert sorted(str(page) for page in set(BOOK.rglob("*.md")) - found) == []


@BY_NAME
def test_a_heading_that_is_linked_to_is_there(page: Path) -> None:
    for path, heading in targets(page):
        if heading:
            assert heading in headings(path), f"{path.name} has no heading #{heading}"


@BY_NAME
def test_each_how_to_begins_with_what_it_gives(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert lines[0].startswith("# ")
    if page.parent.name == "how-to":
        first = next(line for line in lines[1:] if line.strip())
        assert not first.startswith(("#", "```", "|", "- ", "1. ", "<")), f"{page.name} begins with {first!r}"


@cache
def command_tree(word: str) -> Any:
    return typer.main.get_command(import_module(COMMANDS[ALIASES.get(word, word)][0]).app)


def flags(command: Any) -> set[str]:
    return {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}


@BY_NAME
def test_each_command_that_is_shown_can_be_typed(page: Path) -> None:
    for line in COMMAND.findall(code(page)):
        words = shlex.split(line.replace("\\\n", " ").partition("  #")[0].partition(" # ")[0].replace("'", ""))
        if not words or words[0] in ("--help", "...", "…"):
            continue
        assert words[0] in COMMANDS or words[0] in ALIASES, line
        command, rest = command_tree(words[0]), words[1:]
        while rest and hasattr(command, "commands") and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        if hasattr(command, "commands") and not command.invoke_without_command:
            assert not rest or rest[0].startswith("-"), f"{line}: there is no {rest[0]!r}"
        given = {word.partition("=")[0] for word in rest if re.match(r"--[a-z]|-[a-zA-Z]$", word)}
        assert given <= flags(command), f"{line}: {sorted(given - flags(command))}"


@cache
def settings() -> dict[str, object]:
    """Every setting with its default."""

    def found(model: Any, prefix: str) -> Iterator[tuple[str, object]]:
        for name, field in model.model_fields.items():
            yield prefix + name.upper(), field.get_default(call_default_factory=True)
            if hasattr(field.annotation, "model_fields"):
                yield from found(field.annotation, f"{prefix}{name.upper()}__")

    return dict(found(Settings, "TOCSIN_"))


@BY_NAME
def test_each_setting_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"TOCSIN_[A-Z][A-Z0-9_]*[A-Z0-9](?![A-Z0-9_]|\.\.\.|…)", page.read_text()))
    unknown = named - settings().keys() - {f"TOCSIN_{name}" for name in NO_SETTINGS}
    assert not unknown, f"{page.name} names {sorted(unknown)}"


@BY_NAME
def test_each_default_that_is_quoted_holds(page: Path) -> None:
    for name, figure, mebi in re.findall(r"`(TOCSIN_\w+)`(?:, | \()([0-9][0-9,.]*)( MiB)?", page.read_text()):
        told = float(figure.rstrip(".,").replace(",", "")) * (1_048_576 if mebi else 1)
        assert told == settings()[name], f"{page.name} says that {name} is {figure}{mebi}"


def plain(operation: str) -> str:
    """An operation with each of its parameters written alike, and nothing of a query."""
    return re.sub(r"\{\w*\}|<[^>]*>", "{}", operation.partition("?")[0]).rstrip("/")


@BY_NAME
def test_each_operation_and_metric_that_is_named_exists(page: Path, written: Path) -> None:
    operations = {plain(found) for found in re.findall(r"\| `([A-Z]+ /[^`]*)` \|", (written / "api.md").read_text())}
    metrics = set(re.findall(r"`(tocsin_\w+)`", (written / "metrics.md").read_text()))
    text = page.read_text()
    for operation in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /v1/[^`\s]*)`", text):
        assert plain(operation) in operations, f"{page.name} names {operation}"
    for name in re.findall(r"\btocsin_[a-z_]+_(?:total|seconds|bytes|active|shares)\b", text):
        assert name in metrics, f"{page.name} names {name}"
