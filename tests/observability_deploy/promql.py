"""What an expression asks for, by a parser of PromQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Expr, MatrixSelector, VectorSelector

# Grafana fills these in; any duration stands for them here.
_GRAFANA = re.compile(r"\$__(rate_interval|interval|range)")


@dataclass(frozen=True)
class Selector:
    """One metric that is read, with its label matchers as (label, value)."""

    name: str
    matchers: tuple[tuple[str, str], ...]


def plain(expr: str) -> str:
    """This will return the expression as Prometheus itself takes it."""
    return _GRAFANA.sub("5m", expr)


def selectors(expr: str) -> list[Selector]:
    """This will return each metric that the expression reads."""
    return [
        Selector(str(node.name), tuple((each.name, each.value) for each in node.matchers.matchers))
        for node in _nodes(expr)
        if isinstance(node, VectorSelector)
    ]


def grouped_labels(expr: str) -> set[str]:
    """This will return the labels that the expression groups or joins by."""
    found: set[str] = set()
    for node in _nodes(expr):
        if isinstance(node, AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)
        elif isinstance(node, BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            found.update(node.modifier.matching.labels)
    return found


def _nodes(expr: str) -> Iterator[Expr]:
    found: list[Expr] = []

    def keep(node: Expr) -> bool:
        found.append(node)
        if isinstance(node, MatrixSelector):  # the walk does not go into it
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(plain(expr)), keep)
    yield from found
