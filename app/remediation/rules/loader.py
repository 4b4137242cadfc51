"""From a text to a runbook that may run: parsed, checked for safety, and named by the digest of its canonical form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from pydantic import ValidationError

from app.remediation.rules.document import Document
from app.remediation.rules.graph import TERMINAL, edges_of
from app.remediation.rules.references import references
from app.remediation.rules.refusals import RULES, Finding, Subject, structural
from app.remediation.rules.spec import Catalogue
from app.remediation.rules.text import Parsed, Path, Problem, RunbookRefused, parse_text


@dataclass(frozen=True)
class LoadedRunbook:
    """A runbook that passed every check."""

    document: Document
    digest: str
    warnings: tuple[Problem, ...]

    @property
    def name(self) -> str:
        return self.document.runbook

    def canonical(self) -> dict[str, Any]:
        return canonical(self.document)


def load_runbook(text: str, *, catalogue: Catalogue, library: Mapping[str, Document]) -> LoadedRunbook:
    """This will load a runbook from its text.

    Args:
        text: YAML.
        catalogue: The actions there are.
        library: Runbooks that ``use`` may name.

    Raises:
        RunbookRefused: Says everything that is wrong, each with its line.
    """
    parsed = parse_text(text)
    document = _validated(parsed)
    subject = Subject(document, catalogue, library)
    broken = list(structural(subject))
    findings = broken or [finding for rule in (*RULES, references) for finding in rule(subject)]
    if findings:
        raise RunbookRefused([parsed.problem(path, message) for path, message in findings])
    warnings = tuple(parsed.problem(path, message) for path, message in _warnings(subject))
    return LoadedRunbook(document, digest_of(document), warnings)


def canonical(document: Document) -> dict[str, Any]:
    """This will return the one JSON form of a runbook: aliases, defaults written out, durations in seconds."""
    return document.model_dump(mode="json", by_alias=True)


def digest_of(document: Document) -> str:
    """This will return the SHA-256 of the canonical form; two texts that mean the same have the same."""
    return digest(canonical(document))


def digest(value: Any) -> str:
    """This will return the SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _validated(parsed: Parsed) -> Document:
    try:
        return Document.model_validate(parsed.value)
    except ValidationError as error:
        raise RunbookRefused(list(_described(parsed, error))) from None


def _described(parsed: Parsed, error: ValidationError) -> Iterator[Problem]:
    for problem in error.errors(include_url=False, include_context=False):
        path = _document_path(parsed.value, problem["loc"])
        kind, last = problem["type"], str(problem["loc"][-1])
        if kind == "missing":
            yield parsed.problem(path, _missing(last, path))
        elif kind == "extra_forbidden":
            yield parsed.problem(path, f"{last!r} is not a known key here")
        else:
            yield parsed.problem(path, problem["msg"].removeprefix("Value error, "))


def _missing(name: str, path: Path) -> str:
    if name in ("timeout", "run_timeout", "expires"):
        return f"has no time-out: add '{name}'"
    if name == "recovered":
        return "says nothing of recovery: add 'recovered', which proves that the trouble is over"
    return f"{name!r} is missing"


def _document_path(value: Any, loc: tuple[int | str, ...]) -> Path:
    """Drop what is not in the document from pydantic's location: tags of unions and names of models."""
    path: list[int | str] = []
    for part in loc:
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if inside:
            path.append(part)
            value = value[part]
    missing = loc[-1]
    if isinstance(missing, str) and not missing.endswith(("-step", "-clause")) and (not path or path[-1] != missing):
        path.append(missing)
    return tuple(path)


def _warnings(subject: Subject) -> Iterator[Finding]:
    document = subject.document
    for index, step in enumerate(document.steps):
        if step.key not in subject.facts:
            yield ("steps", index, step.kind), f"no way leads to {step.key!r}"
    used = orjson.dumps(canonical(document)).decode()
    for name in document.targets:
        if not any(getattr(step, "on", None) == name for step in document.steps):
            yield ("targets", name), f"the target {name!r} is not used"
    for name in document.inputs:
        if f"inputs.{name}" not in used:
            yield ("inputs", name), f"the input {name!r} is not used"
    needed = _longest(document) + document.recovered.after + document.recovered.duration
    if needed > document.limits.run_timeout:
        yield ("limits", "run_timeout"), f"the longest way may take {int(needed.total_seconds())}s"


def _longest(document: Document) -> timedelta:
    steps, edges = {step.key: step for step in document.steps}, edges_of(document)
    known: dict[str, timedelta] = {}

    def longest(key: str) -> timedelta:
        if key in TERMINAL:
            return timedelta(0)
        if key not in known:
            step = steps[key]
            own = [getattr(step, name, None) for name in ("timeout", "duration", "expires")]
            approval = getattr(step, "approval", None)
            own.append(approval.expires if approval is not None else None)
            spent = sum((part for part in own if part is not None), timedelta(0))
            known[key] = spent + max(longest(edge.to) for edge in edges[key])
        return known[key]

    return longest(document.steps[0].key)
