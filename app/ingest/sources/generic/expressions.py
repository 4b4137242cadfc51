"""JMESPath with a leash: few functions, few constructions, a budget of steps and a cap on every result.

Without it ten characters repeated double a list each time (``[@,@][] | [@,@][] | ...``), and ``to_string`` writes a
structure out that shares its parts. Source: JMESPath specification, grammar of 2015 as in ``jmespath`` 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.parser import Parser
from jmespath.visitor import TreeInterpreter

from app.ingest.contract import ParseError

EXPRESSION_MAX = 300
FUNCTIONS = frozenset(
    {"contains", "ends_with", "join", "keys", "length", "max", "min", "not_null", "sort", "starts_with", "to_number"}
    | {"type", "values"}
)
SELECTS_MAX = 2
SELECT_WIDTH_MAX = 16
FUNCTIONS_MAX = 5
STEPS_MAX = 200_000
LIST_MAX = 20_000
STRING_MAX = 1_048_576


class InvalidExpression(ValueError):
    """The expression is no JMESPath, or uses more of it than is allowed here."""


@lru_cache(maxsize=2048)
def compile_expression(text: str) -> Mapping[str, Any]:
    """This will return the parsed expression.

    Raises:
        InvalidExpression: Too long, no JMESPath, or with a construction that is not allowed.
    """
    if len(text) > EXPRESSION_MAX:
        raise InvalidExpression(f"an expression has at most {EXPRESSION_MAX} characters")
    try:
        tree: Mapping[str, Any] = Parser().parse(text).parsed
    except (JMESPathError, RecursionError) as error:
        raise InvalidExpression(f"{text!r} is no JMESPath expression: {str(error)[:200]}") from None
    nodes = list(_walk(tree))
    selects = [node for node in nodes if node["type"] in ("multi_select_list", "multi_select_dict")]
    calls = [node["value"] for node in nodes if node["type"] == "function_expression"]
    if len(selects) > SELECTS_MAX or any(len(node["children"]) > SELECT_WIDTH_MAX for node in selects):
        raise InvalidExpression(f"{text!r} builds too much: {SELECTS_MAX} lists or objects of {SELECT_WIDTH_MAX} parts")
    if len(calls) > FUNCTIONS_MAX:
        raise InvalidExpression(f"{text!r} calls more than {FUNCTIONS_MAX} functions")
    unknown = sorted(set(calls) - FUNCTIONS)
    if unknown:
        raise InvalidExpression(f"{text!r} calls {unknown[0]!r}; allowed are {', '.join(sorted(FUNCTIONS))}")
    return tree


def _walk(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and "type" in node:
            yield node
            waiting += node.get("children", ())


class Evaluator(TreeInterpreter):
    """Evaluates expressions against documents of one delivery, on one budget."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """This will evaluate one node, counted and its result measured."""
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise ParseError("mapping.failed", f"the mapping took more than {STEPS_MAX} steps")
        result = super().visit(node, *args, **kwargs)
        if isinstance(result, list) and len(result) > LIST_MAX:
            raise ParseError("mapping.failed", f"an expression made a list of more than {LIST_MAX} entries")
        if isinstance(result, str) and len(result) > STRING_MAX:
            raise ParseError("mapping.failed", f"an expression made a text of more than {STRING_MAX} characters")
        return result

    def find(self, text: str, document: object) -> Any:
        """This will return what ``text`` selects of ``document``; what does not fit its types selects nothing.

        Raises:
            ParseError: The budget is used up.
        """
        try:
            return self.visit(compile_expression(text), document)
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError):
            # A stranger's document of another shape than the mapping's author had in mind: no value.
            return None
