"""The ways through a runbook: where each step may lead, and what has surely happened on every way to it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from app.remediation.rules.document import (
    END_NOOP,
    ENDS,
    VERIFY,
    ActStep,
    AskStep,
    CheckStep,
    DecideStep,
    Document,
    Step,
    TellStep,
    UseStep,
    WaitStep,
)

ESCALATED = "@escalated"
HANDED_ON = "@handed_on"
NOWHERE = "@nowhere"
TERMINAL = ENDS | {ESCALATED, HANDED_ON, NOWHERE}


@dataclass(frozen=True)
class Edge:
    """One way out of a step. ``field`` is what in the step says so; ``worked`` that the step's output exists."""

    to: str
    field: str
    worked: bool = True


@dataclass(frozen=True)
class Facts:
    """What holds on entering a step.

    Attributes:
        ran: Steps whose output exists on every way here.
        checked: Targets that were looked at on every way here.
        asked: A person has agreed on every way here.
        acted: Something may have been changed on some way here.
    """

    ran: frozenset[str] = frozenset()
    checked: frozenset[str] = frozenset()
    asked: bool = False
    acted: bool = False

    def joined(self, other: Facts) -> Facts:
        return Facts(
            self.ran & other.ran, self.checked & other.checked, self.asked and other.asked, self.acted or other.acted
        )


def edges_of(document: Document) -> dict[str, list[Edge]]:
    """This will return each step's ways out, in the order of the document."""
    following = [step.key for step in document.steps[1:]] + [NOWHERE]
    return {step.key: _edges(step, after) for step, after in zip(document.steps, following, strict=True)}


def next_step(document: Document, step: Step) -> str:
    """This will return where a step leads when it went well and says nothing else."""
    return edges_of(document)[step.key][0].to


def _edges(step: Step, following: str) -> list[Edge]:
    match step:
        case DecideStep():
            return [Edge(branch.go, f"first.{index}.go") for index, branch in enumerate(step.first)] + [
                Edge(step.otherwise, "else")
            ]
        case UseStep():
            return [Edge(HANDED_ON, "use")]
        case TellStep() if step.escalate is not None:
            return [Edge(ESCALATED, "escalate")]
        case _:
            named = step.then if not isinstance(step, (DecideStep, UseStep)) else None
            return [Edge(named or following, "then"), *_side_ways(step)]


def _side_ways(step: Step) -> list[Edge]:
    ways: list[Edge] = []
    if isinstance(step, (CheckStep, ActStep)) and step.on_error:
        ways.append(Edge(step.on_error, "on_error", worked=False))
    if isinstance(step, ActStep) and step.approval is not None and step.approval.otherwise:
        ways.append(Edge(step.approval.otherwise, "approval.else", worked=False))
    if isinstance(step, AskStep) and step.otherwise:
        ways.append(Edge(step.otherwise, "else", worked=False))
    if isinstance(step, WaitStep) and step.on_timeout:
        ways.append(Edge(step.on_timeout, "on_timeout", worked=False))
    return ways


def find_cycle(edges: dict[str, list[Edge]]) -> list[str] | None:
    """This will return the steps of a cycle, or None."""
    done: set[str] = set()

    def visit(key: str, way: list[str]) -> list[str] | None:
        if key in way:
            return [*way[way.index(key) :], key]
        if key in done or key not in edges:
            return None
        for edge in edges[key]:
            if found := visit(edge.to, [*way, key]):
                return found
        done.add(key)
        return None

    for key in edges:
        if found := visit(key, []):
            return found
    return None


def facts_of(document: Document, edges: dict[str, list[Edge]]) -> dict[str, Facts]:
    """This will return what holds on entering each reachable step and end of an acyclic runbook."""
    steps = {step.key: step for step in document.steps}
    entering: dict[str, Facts] = {document.steps[0].key: Facts()}
    for key in _topological(edges, document.steps[0].key):
        for edge in edges[key]:
            after = _after(steps[key], entering[key], edge)
            known = entering.get(edge.to)
            entering[edge.to] = after if known is None else known.joined(after)
    return entering


def _after(step: Step, before: Facts, edge: Edge) -> Facts:
    acted = before.acted or (isinstance(step, ActStep) and step.on is not None)
    if not edge.worked:
        return Facts(before.ran, before.checked, before.asked, acted)
    checked = before.checked | ({step.on} if isinstance(step, CheckStep) and step.on else frozenset())
    asked = before.asked or isinstance(step, AskStep)
    return Facts(before.ran | {step.key}, checked, asked, acted)


def _topological(edges: dict[str, list[Edge]], start: str) -> list[str]:
    incoming: dict[str, int] = defaultdict(int)
    reachable, stack = {start}, [start]
    while stack:
        for edge in edges[stack.pop()]:
            if edge.to in TERMINAL:
                continue
            incoming[edge.to] += 1
            if edge.to not in reachable:
                reachable.add(edge.to)
                stack.append(edge.to)
    ready, order = [start], list[str]()
    while ready:
        key = ready.pop()
        order.append(key)
        for edge in edges[key]:
            incoming[edge.to] -= 1
            if edge.to in reachable and incoming[edge.to] == 0:
                ready.append(edge.to)
    return order


__all__ = [
    "END_NOOP",
    "ESCALATED",
    "HANDED_ON",
    "NOWHERE",
    "TERMINAL",
    "VERIFY",
    "Edge",
    "Facts",
    "edges_of",
    "facts_of",
    "find_cycle",
    "next_step",
]
