"""Every attack of the catalogue has a test, here or beside what it attacks, or stands in docs/security.md as waiting."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "security.md"
# The attacks that this release answers for.
PROMISED = (
    ("A", tuple(range(1, 40))),
    ("B", tuple(range(1, 32))),
    ("C", (*range(1, 16), *range(17, 25))),
    ("D", (*range(1, 10), *range(14, 24))),
)
IDS = frozenset(f"{group}{number:02d}" for group, numbers in PROMISED for number in numbers)
# A row of the document's table of what waits: | C16 | feature | why |
WAITING = re.compile(r"^\| ([A-D]\d\d) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def marked(path: Path) -> set[str]:
    """The ids in ``@pytest.mark.attack(...)`` above test functions of a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.attack":
                    found |= {str(ast.literal_eval(argument)) for argument in mark.args}
    return found


def carried_out() -> set[str]:
    return set().union(*(marked(path) for path in files_with_marks()))


def files_with_marks() -> list[Path]:
    """The files anywhere under the tests that mark an attack."""
    return [path for path in sorted(TESTS.rglob("test_*.py")) if "pytest.mark.attack" in path.read_text()]


def waiting() -> dict[str, str]:
    return {found[1]: found[2].strip() for found in WAITING.finditer(DOCUMENT.read_text())}


def test_every_attack_has_a_test() -> None:
    untested = IDS - carried_out()
    assert {attack for attack in untested if not waiting().get(attack)} == set(), (
        "neither tested nor listed in docs/security.md with the feature that it waits for"
    )


def test_nothing_is_shown_that_the_document_says_is_waiting() -> None:
    assert carried_out() & set(waiting()) == set()


def test_every_mark_names_an_attack_of_the_catalogue() -> None:
    assert carried_out() - IDS == set()


def test_marks_are_seen_wherever_a_test_lives() -> None:
    mapping = TESTS / "ingest" / "sources" / "test_mapping.py"
    assert mapping in files_with_marks()
    assert marked(mapping) == {"B13"}


def test_the_document_names_every_attack() -> None:
    named: set[str] = set()
    for first, last in re.findall(r"\b([A-D]\d\d)(?:-([A-D]\d\d))?\b", DOCUMENT.read_text()):
        named |= {f"{first[0]}{number:02d}" for number in range(int(first[1:]), int((last or first)[1:]) + 1)}
    assert IDS - named == set()
