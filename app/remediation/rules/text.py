"""Reading the YAML of a runbook: the safe core of YAML 1.2 and nothing else, with the line of every value kept.

Anchors, aliases, tags, merge keys and duplicate keys are refused. ``no``, ``on``, ``010`` and ``1:30`` are texts, as
YAML 1.2 has it; PyYAML on its own would read a boolean, a boolean, an octal number and a sexagesimal one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20

Path: TypeAlias = tuple[str | int, ...]

_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a runbook, and where."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f" ({self.path})" if self.path else ""
        return f"line {self.line}{place}: {self.message}"


class RunbookRefused(ValueError):
    """The runbook cannot be loaded. ``problems`` says everything that is wrong, with lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.path)))


@dataclass
class Parsed:
    """A document as plain values, with the line of each path."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """This will return the line of the path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.line_of(path), _dotted(path), message)


def parse_text(text: str) -> Parsed:
    """This will read a runbook's text.

    Raises:
        RunbookRefused: It is too large, not YAML, or uses more of YAML than a runbook may.
    """
    size = len(text.encode())
    if size > MAX_BYTES:
        raise RunbookRefused([Problem(1, "", f"a runbook may have {MAX_BYTES} bytes, this has {size}")])
    try:
        node = _StrictLoader(text).get_single_node()
    except RecursionError:
        raise RunbookRefused([Problem(1, "", f"more than {MAX_DEPTH} levels of nesting")]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise RunbookRefused([Problem(line, "", f"not YAML as runbooks allow it: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise RunbookRefused([Problem(1, "", f"not YAML: {str(error)[:200]}")]) from None
    parsed = Parsed(None)
    parsed.value = _plain(node, (), parsed.lines)
    if not isinstance(parsed.value, dict):
        raise RunbookRefused([Problem(1, "", "a runbook is a mapping that starts with 'runbook: name'")])
    return parsed


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes only; their values are made by ``_plain``."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _plain(node: Node | None, path: Path, lines: dict[Path, int]) -> Any:
    if node is None:
        return None
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > MAX_DEPTH:
        raise RunbookRefused([Problem(node.start_mark.line + 1, "", f"more than {MAX_DEPTH} levels of nesting")])
    if isinstance(node, MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, ScalarNode):
        return node.value if node.style in ("'", '"', "|", ">") else _scalar(node.value)
    raise TypeError(f"a YAML node of an unknown type: {type(node).__name__}")


def _mapping(node: MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise RunbookRefused([Problem(line, _dotted(path), "a key must be a text")])
        if key.value in values:
            raise RunbookRefused([Problem(line, _dotted(path), f"the key {key.value!r} is there twice")])
        lines[*path, key.value] = line
        values[key.value] = _plain(value, (*path, key.value), lines)
    return values


def _scalar(text: str) -> Any:
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    # More digits than any number here has: int() of a long text is slow on purpose of the sender.
    if _INTEGER.fullmatch(text) and len(text) <= 18:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) <= 30:
        return float(text)
    return text


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)
