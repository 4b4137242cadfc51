"""What a runbook says with names: each must be declared, have run by then, and be of a fitting type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from app.remediation.rules.conditions import check_condition, lookup_type
from app.remediation.rules.document import (
    VERIFY,
    ActStep,
    AskStep,
    CheckStep,
    DecideStep,
    Input,
    Step,
    TellStep,
    WaitStep,
)
from app.remediation.rules.expression import (
    Between,
    Call,
    Combination,
    Comparison,
    ExpressionError,
    ListOf,
    Literal,
    Membership,
    Node,
    Not,
    Reference,
)
from app.remediation.rules.names import input_type
from app.remediation.rules.recovery import AlertClause
from app.remediation.rules.refusals import Finding, Subject
from app.remediation.rules.substitution import references_in, type_of_value
from app.remediation.rules.text import Path
from app.remediation.rules.types import ValueType, literal_type, type_of


def references(subject: Subject) -> Iterator[Finding]:
    """This will yield everything wrong with names, conditions and parameters."""
    for name, declared in subject.document.inputs.items():
        yield from _input(("inputs", name), declared)
    for index, step in enumerate(subject.document.steps):
        facts = subject.facts.get(step.key)
        ran = facts.ran if facts is not None else frozenset(subject.edges)
        scope = _Scope(subject.names, ran, frozenset(subject.edges))
        yield from _step(subject, scope, step, ("steps", index))
    yield from _recovered(subject)


class _Scope:
    """The names at one place: all that are declared, and those steps that have surely run."""

    def __init__(self, names: Mapping[str, ValueType], ran: frozenset[str], steps: frozenset[str]) -> None:
        self.names = names
        self._ran = ran
        self._steps = steps

    def missing(self, found: Iterator[Reference]) -> Iterator[str]:
        for reference in found:
            step = reference.path[1] if reference.path[0] in ("checks", "before") and len(reference.path) > 1 else None
            step = step or reference.path[0]
            if step in self._steps and step not in self._ran:
                yield f"{reference}: step {step!r} may not have run by then"

    def condition(self, path: Path, text: str) -> Iterator[Finding]:
        try:
            node = check_condition(text, self.names)
        except ExpressionError as error:
            yield path, str(error)
            return
        for message in self.missing(_references(node)):
            yield path, message

    def value(self, path: Path, value: Any) -> Iterator[Finding]:
        try:
            for reference in references_in(value):
                lookup_type(reference, self.names)
            messages = list(self.missing(references_in(value)))
        except ExpressionError as error:
            yield path, str(error)
            return
        for message in messages:
            yield path, message


def _step(subject: Subject, scope: _Scope, step: Step, path: Path) -> Iterator[Finding]:
    match step:
        case CheckStep() | ActStep():
            yield from _arguments(subject, scope, step, path)
            if isinstance(step, ActStep) and step.approval is not None and step.approval.when is not None:
                yield from scope.condition((*path, "approval", "when"), step.approval.when)
        case DecideStep():
            for index, branch in enumerate(step.first):
                yield from scope.condition((*path, "first", index, "if"), branch.condition)
        case WaitStep():
            yield from _until(subject, scope, step, path)
        case AskStep():
            yield from scope.value((*path, "question"), step.question)
        case TellStep():
            yield from scope.value((*path, "text"), step.text)
            if step.escalate is not None:
                yield from scope.value((*path, "escalate", "reason"), step.escalate.reason)


def _until(subject: Subject, scope: _Scope, step: WaitStep, path: Path) -> Iterator[Finding]:
    if step.until is None or step.check is None:
        return
    if not _is_check(subject, step.check):
        yield (*path, "check"), f"there is no check {step.check!r} to repeat"
        return
    names = {**subject.names, "before": subject.names["checks"]}
    inner = _Scope(names, scope._ran, scope._steps)
    yield from inner.condition((*path, "until"), step.until)


def _recovered(subject: Subject) -> Iterator[Finding]:
    facts = subject.facts.get(VERIFY)
    ran = facts.ran if facts is not None else frozenset()
    names = {**subject.names, "before": subject.names["checks"]}
    scope = _Scope(names, ran, frozenset(subject.edges))
    for index, clause in enumerate(subject.document.recovered.all):
        path: Path = ("recovered", "all", index)
        if isinstance(clause, AlertClause):
            yield from scope.value((*path, "alert"), clause.alert)
        elif not _is_check(subject, clause.check):
            yield (*path, "check"), f"there is no check {clause.check!r} to repeat"
        elif facts is not None:
            yield from scope.condition((*path, "is"), clause.condition)
    for field in ("if_not", "if_unknown"):
        reason = getattr(subject.document.recovered, field).escalate.reason
        yield from scope.value(("recovered", field, "escalate", "reason"), reason)


def _is_check(subject: Subject, key: str) -> bool:
    return any(isinstance(step, CheckStep) and step.key == key for step in subject.document.steps)


def _arguments(subject: Subject, scope: _Scope, step: CheckStep | ActStep, path: Path) -> Iterator[Finding]:
    spec = subject.catalogue.get(step.do)
    if spec is None:
        return
    derived: set[str] = set()
    for name, value in step.arguments.items():
        at: Path = (*path, "with", name)
        try:
            found = list(references_in(value))
            actual = type_of_value(value, scope.names)
        except ExpressionError as error:
            yield at, str(error)
            derived.add(name)
            continue
        if found or isinstance(value, dict):
            yield from _derived(spec.params, name, actual, at, bool(found))
            derived |= {name} if found else set()
        if found and name in spec.chosen_by:
            yield at, f"{name} decides what {step.do} answers and must be written out"
        for message in scope.missing(iter(found)):
            yield at, message
    yield from _literals(spec.params, step.arguments, derived, path)


def _derived(params: type[BaseModel], name: str, actual: ValueType, path: Path, has_holes: bool) -> Iterator[Finding]:
    info = params.model_fields.get(name)
    if info is None or not has_holes:
        return
    wanted = type_of(info.annotation)
    if not wanted.accepts(actual):
        yield path, f"must be a {wanted}, and this is a {actual}"


def _literals(
    params: type[BaseModel], arguments: Mapping[str, Any], derived: set[str], path: Path
) -> Iterator[Finding]:
    try:
        params.model_validate(dict(arguments), by_alias=True, by_name=True)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            where = tuple(part for part in problem["loc"] if not str(part).startswith("function-"))
            if not where or where[0] not in derived:
                yield (*path, "with", *where), problem["msg"]


def _input(path: Path, declared: Input) -> Iterator[Finding]:
    wanted = input_type(declared)
    for field, values in (("default", [declared.default]), ("values", declared.values or [])):
        for value in values:
            if value is not None and not wanted.accepts(literal_type(value)):
                yield (*path, field), f"{value!r} is not a {wanted}"
    if declared.default is not None and (message := input_problem(declared, declared.default)):
        yield (*path, "default"), message


def input_problem(declared: Input, value: Any) -> str | None:
    """This will say what is wrong with a value given for an input, or None."""
    wanted = input_type(declared)
    if not wanted.accepts(literal_type(value)):
        return f"must be a {wanted}, not {value!r}"
    if declared.values is not None and value not in declared.values:
        return f"must be one of {', '.join(map(str, declared.values))}"
    if isinstance(value, str):
        return f"is longer than {declared.max_length}" if len(value) > declared.max_length else None
    if declared.min is not None and value < declared.min:
        return f"must be at least {declared.min}"
    if declared.max is not None and value > declared.max:
        return f"must be at most {declared.max}"
    return None


def _references(node: Node) -> Iterator[Reference]:
    match node:
        case Reference():
            yield node
        case ListOf(items=parts) | Call(arguments=parts) | Combination(operands=parts):
            for part in parts:
                yield from _references(part)
        case Comparison(left=left, right=right):
            yield from _references(left)
            yield from _references(right)
        case Between(value, low, high):
            for part in (value, low, high):
                yield from _references(part)
        case Membership(value, options):
            yield from _references(value)
            yield from _references(options)
        case Not(operand):
            yield from _references(operand)
        case Literal():
            return
