"""Every fault of the list has a scenario, or stands in ``docs/faults.md`` with what it waits for."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAPER = TESTS.parent / "docs" / "faults.md"
FAULTS = {f"F{number:02d}" for number in range(1, 51)}


def marked() -> Counter[str]:
    """The ids of ``@pytest.mark.fault(...)`` on test functions, read from the sources of all tests."""
    found: Counter[str] = Counter()
    for path in TESTS.rglob("test_*.py"):
        source = path.read_text()
        # Most tests name no fault, and to parse all of them takes seconds.
        for node in ast.walk(ast.parse(source)) if ".fault(" in source else ():
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    assert node.name.startswith("test_"), node.name
                    found.update(str(ast.literal_eval(argument)) for argument in mark.args)
    return found


def listed(section: str) -> dict[str, str]:
    """The rows of a table of the paper: id to the rest of its line."""
    _, _, rest = PAPER.read_text().partition(f"## {section}\n")
    rows = re.findall(r"^\| (F\d\d) \| (.+) \|$", rest.split("\n## ")[0], re.MULTILINE)
    return dict(rows)


def test_every_fault_has_a_scenario_or_a_reason() -> None:
    shown, waiting = set(marked()), set(listed("Not here yet"))
    assert shown <= FAULTS
    assert FAULTS - shown - waiting == set(), "neither tested nor listed"
    assert shown & waiting == set(), "listed as waiting, but there is a test"


def test_the_paper_says_what_is_shown_for_each_scenario() -> None:
    assert set(listed("Shown")) == set(marked())


def test_each_reason_is_one() -> None:
    assert [fault for fault, reason in listed("Not here yet").items() if len(reason) < 40] == []
