"""The rules of the house that import-linter cannot see; each names the file and line that breaks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py"))
DOMAINS = sorted(
    path.name
    for path in (ROOT / "app").iterdir()
    if (path / "models.py").exists() or (path / "repository.py").exists() or (path / "repository").is_dir()
)
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
BANNED_NAMES = {"utils", "helpers", "common", "manager", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text())


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each called name, as the attribute or the plain name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield function.attr, node.lineno
            elif isinstance(function, ast.Name):
                yield function.id, node.lineno


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A function's lines without its docstring: what it says about itself is no burden."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_files_hold_one_purpose() -> None:
    long = {name_of(path): count for path in SOURCES if (count := len(path.read_text().splitlines())) > MAX_FILE_LINES}
    assert long == {}


def test_functions_can_be_read_at_a_glance() -> None:
    long = [
        f"{name_of(path)}:{node.lineno} {node.name} ({length} lines)"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := code_lines(node)) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_module_is_named_for_nothing() -> None:
    assert [name_of(path) for path in SOURCES if path.stem in BANNED_NAMES] == []


def test_only_the_database_layer_commits() -> None:
    found = [
        f"{name_of(path)}:{line}"
        for path, tree in trees()
        if not name_of(path).startswith("app/db/")
        for name, line in calls(tree)
        if name == "commit"
    ]
    assert found == []


def test_only_tenancy_sets_the_tenant() -> None:
    pattern = re.compile(r"set_config\s*\(\s*'app\.current_tenant_id'")
    found = [name_of(path) for path in SOURCES if pattern.search(path.read_text())]
    assert found == ["app/db/tenancy.py"]


def test_only_workers_talk_to_the_broker() -> None:
    found = [
        f"{name_of(path)}:{line} {name}"
        for path, tree in trees()
        if not name_of(path).startswith("workers/")
        for name, line in calls(tree)
        if name in {"apply_async", "delay", "send_task", "shared_task"}
        # RetryPolicy.delay is the back-off's wait, not a task.
        and name_of(path) != "workers/runner.py"
    ]
    assert found == []


def test_a_domains_queries_and_tables_are_its_own() -> None:
    found: list[str] = []
    for path, tree in trees():
        own = path.relative_to(ROOT).parts[1] if path.relative_to(ROOT).parts[0] == "app" else ""
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                private = len(parts) >= 3 and parts[0] == "app" and parts[2] in {"repository", "models"}
                if private and parts[1] in DOMAINS and parts[1] != own:
                    found.append(f"{name_of(path)}:{node.lineno} imports {node.module}")
    assert found == []


def test_services_read_no_clock() -> None:
    """``now`` is an argument everywhere but at the edges."""
    edges = ("app/cli", "app/embedded", "app/core/clock.py", "workers/")
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in trees()
        if not name_of(path).startswith(edges)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date"}
    ]
    assert found == []


@pytest.mark.parametrize("pattern", [r"\bTODO\b", r"\bFIXME\b", r"NotImplementedError", r"# type: ignore\s*$"])
def test_nothing_is_left_soft(pattern: str) -> None:
    found = [name_of(path) for path in SOURCES if re.search(pattern, path.read_text(), re.MULTILINE)]
    assert found == []
