"""Why a well-formed runbook is still refused: what it does must be safe and end in proof or in a person's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TypeAlias

from app.remediation.rules.document import END_NOOP, ActStep, CheckStep, Document, UseStep, WaitStep
from app.remediation.rules.graph import NOWHERE, TERMINAL, Edge, Facts, edges_of, facts_of, find_cycle
from app.remediation.rules.names import names_of
from app.remediation.rules.spec import Catalogue, Risk
from app.remediation.rules.text import Path
from app.remediation.rules.types import ValueType

MAX_EFFECT_TIMEOUT = timedelta(seconds=45)
MAX_READ_TIMEOUT = timedelta(seconds=45)
MAX_SAMPLES = 200
MAX_USE_DEPTH = 3

Finding: TypeAlias = tuple[Path, str]

_RESERVED_HINTS = {
    "wait": "write a wait step",
    "resolve": "only a proven recovery resolves an incident: see recovered.then",
    "escalate": "write a tell step with an escalate",
}


@dataclass(frozen=True)
class Subject:
    """A document under examination, with what is derived from it once."""

    document: Document
    catalogue: Catalogue
    library: Mapping[str, Document]

    @cached_property
    def edges(self) -> dict[str, list[Edge]]:
        return edges_of(self.document)

    @cached_property
    def names(self) -> dict[str, ValueType]:
        return names_of(self.document, self.catalogue)

    @cached_property
    def facts(self) -> dict[str, Facts]:
        return facts_of(self.document, self.edges)


def structural(subject: Subject) -> Iterator[Finding]:
    """This will yield what keeps the ways through the runbook from being understood at all."""
    seen: dict[str, int] = {}
    for index, step in enumerate(subject.document.steps):
        if step.key in seen:
            yield ("steps", index, step.kind), f"the name {step.key!r} is already step {seen[step.key] + 1}"
        seen.setdefault(step.key, index)
        for edge in subject.edges[step.key]:
            if edge.to not in TERMINAL and edge.to not in subject.edges:
                known = ", ".join([*subject.edges, "verify", "end_noop"])
                yield _at(index, edge.field), f"there is no step {edge.to!r}; there are {known}"
    if cycle := find_cycle(subject.edges):
        yield ("steps",), f"steps lead back to themselves: {' -> '.join(cycle)}; to try again, use wait with until"


def flow(subject: Subject) -> Iterator[Finding]:
    """This will yield ways that end without proof and without a person."""
    for index, step in enumerate(subject.document.steps):
        if step.key not in subject.facts:
            continue
        acts = subject.facts[step.key].acted or (isinstance(step, ActStep) and step.on is not None)
        for edge in subject.edges[step.key]:
            if edge.to == NOWHERE:
                yield (
                    ("steps", index, step.kind),
                    "a way ends here without verification or escalation; add 'then: verify' or a tell with escalate",
                )
            if edge.to == END_NOOP and acts:
                yield _at(index, edge.field), "something may have been changed before end_noop; go to verify instead"


def actions(subject: Subject) -> Iterator[Finding]:
    """This will yield unknown or unfit actions, targets, risks and time-outs."""
    for index, step in enumerate(subject.document.steps):
        if isinstance(step, (CheckStep, ActStep)):
            for field, message in _action(subject, step):
                yield ("steps", index, field), message


def _action(subject: Subject, step: CheckStep | ActStep) -> Iterator[tuple[str, str]]:
    spec = subject.catalogue.get(step.do)
    if spec is None:
        yield "do", f"there is no action {step.do!r}; there are {', '.join(sorted(subject.catalogue))}"
        return
    if spec.reserved:
        yield "do", f"{step.do} is not for steps: {_RESERVED_HINTS.get(step.do, 'the engine uses it')}"
        return
    yield from _target(subject, step, spec.target_kind)
    reads = spec.risk is Risk.READ
    if isinstance(step, CheckStep) and not reads:
        yield "do", f"a check only reads, and {step.do} is {spec.risk.value}; write it as an act"
    if isinstance(step, ActStep):
        yield from _act(subject, step, spec.risk)
    limit = MAX_READ_TIMEOUT if reads else MAX_EFFECT_TIMEOUT
    if step.timeout > limit:
        yield (
            "timeout",
            f"one call may take {limit.seconds}s; start long work with an act and follow it with wait and until",
        )


def _target(subject: Subject, step: CheckStep | ActStep, wanted: str | None) -> Iterator[tuple[str, str]]:
    slots = subject.document.targets
    if wanted is None:
        if step.on is not None:
            yield "on", f"{step.do} works on the incident itself and takes no target"
    elif step.on is None:
        yield "do", f"{step.do} needs a target of kind {wanted}: add 'on'"
    elif step.on not in slots:
        yield "on", f"there is no target {step.on!r}; there are {', '.join(sorted(slots)) or 'none'}"
    elif slots[step.on].kind != wanted:
        yield "on", f"{step.do} works on {wanted}, and {step.on!r} is {slots[step.on].kind}"


def _act(subject: Subject, step: ActStep, risk: Risk) -> Iterator[tuple[str, str]]:
    facts = subject.facts.get(step.key)
    ceiling = subject.document.limits.ceiling
    if risk is Risk.READ:
        yield "do", f"{step.do} only reads; write it as a check"
    if risk.rank > ceiling.rank:
        yield "do", f"{step.do} is {risk.value}, above this runbook's ceiling {ceiling.value}"
    if facts is not None and step.on is not None and step.on not in facts.checked:
        yield "act", f"no check of {step.on!r} comes before this act on every way to it; look before you act"
    consented = (facts is not None and facts.asked) or (step.approval is not None and step.approval.when is None)
    if risk is Risk.DANGEROUS and not consented:
        yield "act", f"{step.do} is dangerous and nobody is asked: add an ask step before it, or an approval"
    if step.undo is not None:
        yield "undo", f"{step.do} declares no inverse, so it cannot be undone by rule"


def bounds(subject: Subject) -> Iterator[Finding]:
    """This will yield times and counts that can never be met."""
    limits, recovered = subject.document.limits, subject.document.recovered
    if recovered.after + recovered.duration > limits.run_timeout:
        yield ("recovered", "for"), "watching for recovery would take longer than limits.run_timeout"
    if recovered.every > recovered.duration:
        yield ("recovered", "every"), "is longer than 'for', so there would be one sample"
    samples = recovered.duration // recovered.every + 1
    if samples > MAX_SAMPLES:
        yield ("recovered", "every"), f"makes {samples} samples; {MAX_SAMPLES} is the most"
    if recovered.need > samples:
        yield ("recovered", "need"), f"{recovered.need} in a row can never be reached with {samples} samples"
    for index, step in enumerate(subject.document.steps):
        if not isinstance(step, WaitStep) or step.every is None or step.timeout is None:
            continue
        if step.timeout // step.every > MAX_SAMPLES:
            yield ("steps", index, "every"), f"makes more than {MAX_SAMPLES} looks"


def kinds(subject: Subject) -> Iterator[Finding]:
    """This will yield targets of kinds that no action works on."""
    known = {spec.target_kind for spec in subject.catalogue.values() if spec.target_kind}
    for name, slot in subject.document.targets.items():
        if slot.kind not in known:
            yield (
                ("targets", name, "kind"),
                f"there is no target kind {slot.kind!r}; there are {', '.join(sorted(known))}",
            )


def composition(subject: Subject) -> Iterator[Finding]:
    """This will yield ``use`` steps that lead nowhere, in circles, too deep, or to something more harmful."""
    for index, step in enumerate(subject.document.steps):
        if isinstance(step, UseStep):
            for message in _used(subject, step.runbook, (subject.document.runbook,)):
                yield ("steps", index, "runbook"), message


def _used(subject: Subject, name: str, way: tuple[str, ...]) -> Iterator[str]:
    used = subject.library.get(name)
    if name in way:
        yield f"runbooks use each other in a circle: {' -> '.join((*way, name))}"
    elif used is None:
        yield f"there is no runbook {name!r} in the library"
    elif len(way) >= MAX_USE_DEPTH:
        yield f"more than {MAX_USE_DEPTH} runbooks deep: {' -> '.join((*way, name))}"
    else:
        yield from _unfit(subject.document, used)
        for step in used.steps:
            if isinstance(step, UseStep):
                yield from _used(subject, step.runbook, (*way, name))


def _unfit(document: Document, used: Document) -> Iterator[str]:
    if used.limits.ceiling.rank > document.limits.ceiling.rank:
        yield f"{used.runbook} may do {used.limits.ceiling.value} things, above this runbook's ceiling"
    for name, slot in used.targets.items():
        mine = document.targets.get(name)
        if mine is None or mine.kind != slot.kind:
            yield f"{used.runbook} needs a target {name!r} of kind {slot.kind}"
    for name, declared in used.inputs.items():
        if declared.default is None and name not in document.inputs:
            yield f"{used.runbook} needs the input {name!r}, which has no default"


def _at(index: int, field: str) -> Path:
    parts = tuple(int(part) if part.isdigit() else part for part in field.split("."))
    return ("steps", index, *parts)


RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (flow, actions, bounds, kinds, composition)
