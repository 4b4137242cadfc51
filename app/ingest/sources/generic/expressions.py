"""JMESPath with a leash: few functions, few constructions, a budget of steps and a cap on every result.

Without it ten characters repeated double a list each time (``[@,@][] | [@,@][] | ...``), and ``to_string`` writes a
structure out that shares its parts. What is wrong with an expression is said when it is saved, with the place.
Source: JMESPath specification, grammar of 2015 as in ``jmespath`` 1.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jmespath.exceptions import IncompleteExpressionError, JMESPathError, LexerError
from jmespath.exceptions import ParseError as NotJmespath
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from app.ingest.contract import ParseError
from app.ingest.sources.generic.functions import ARGUMENTS, LITERAL_ARGUMENTS, PATTERN_ARGUMENT, MappingFunctions
from app.ingest.sources.generic.regexes import InvalidPattern, compile_pattern, compile_replacement
from app.ingest.sources.generic.scope import Scope

EXPRESSION_MAX = 1000
SELECTS_MAX = 2
SELECT_WIDTH_MAX = 16
FUNCTIONS_MAX = 8
LIST_MAX = 20_000
STRING_MAX = 1_048_576
_SIZED = (list, str)

Tree = Mapping[str, Any]
Path = tuple[str, ...]


class InvalidExpression(ValueError):
    """The expression is no JMESPath, or uses more of it than is allowed here."""


@lru_cache(maxsize=2048)
def compile_expression(text: str) -> Tree:
    """This will return the parsed expression.

    Raises:
        InvalidExpression: Too long, no JMESPath, or with a construction that is not allowed; says where and what to do.
    """
    if len(text) > EXPRESSION_MAX:
        raise InvalidExpression(f"an expression has at most {EXPRESSION_MAX} characters")
    try:
        with warnings.catch_warnings():
            # Texts in backticks that are no JSON: an old way of writing, which the library only warns of.
            warnings.simplefilter("error", PendingDeprecationWarning)
            tree: Tree = Parser().parse(text).parsed
    except PendingDeprecationWarning:
        raise InvalidExpression("between backticks stands JSON; texts stand in single quotes, 'like this'") from None
    except (JMESPathError, RecursionError) as error:
        raise InvalidExpression(_misread(text, error)) from None
    nodes = list(_walk(tree))
    selects = [node for node in nodes if node["type"] in ("multi_select_list", "multi_select_dict")]
    if len(selects) > SELECTS_MAX or any(len(node["children"]) > SELECT_WIDTH_MAX for node in selects):
        raise InvalidExpression(f"it builds too much: {SELECTS_MAX} lists or objects of {SELECT_WIDTH_MAX} parts")
    calls = [node for node in nodes if node["type"] == "function_expression"]
    if len(calls) > FUNCTIONS_MAX:
        raise InvalidExpression(f"it calls {len(calls)} functions; at most {FUNCTIONS_MAX} are allowed")
    for call in calls:
        _check_call(text, call)
    return tree


@lru_cache(maxsize=2048)
def alternatives(text: str) -> tuple[Path | Tree, ...]:
    """This will return what stands between the ors of an expression: ``a.b`` as its names, anything else as its tree.

    Nearly all expressions hold names, dots and ors only, and the interpreter needs some ten calls for each of their names.

    Raises:
        InvalidExpression: As ``compile_expression``.
    """
    found: list[Path | Tree] = []
    waiting = [compile_expression(text)]
    while waiting:
        tree = waiting.pop()
        if tree["type"] == "or_expression":
            waiting += reversed(tree["children"])
        else:
            path = _path(tree)
            found.append(tree if path is None else path)
    return tuple(found)


def _path(tree: Tree) -> Path | None:
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] != "subexpression":
        return None
    names: Path = ()
    for child in tree["children"]:
        inner = _path(child)
        if inner is None:
            return None
        names += inner
    return names


def _walk(tree: Tree) -> Iterator[Tree]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and "type" in node:
            yield node
            waiting += node.get("children", ())


def _check_call(text: str, call: Tree) -> None:
    name, arguments = call["value"], call["children"]
    where = f"at character {max(text.find(f'{name}('), 0) + 1}"
    if name not in ARGUMENTS:
        raise InvalidExpression(f"{where}: there is no function {name!r}; there are {', '.join(sorted(ARGUMENTS))}")
    least, most = ARGUMENTS[name]
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise InvalidExpression(f"{where}: {name} takes {wanted} arguments, not {len(arguments)}")
    for index in LITERAL_ARGUMENTS.get(name, ()):
        node = arguments[index]
        if node["type"] != "literal" or not isinstance(node["value"], str):
            raise InvalidExpression(
                f"{where}: argument {index + 1} of {name} is a constant text in single quotes, as in {_EXAMPLES[name]}"
            )
    if name in PATTERN_ARGUMENT:
        try:
            compile_pattern(arguments[PATTERN_ARGUMENT[name]]["value"])
        except InvalidPattern as error:
            raise InvalidExpression(f"{where}: the pattern of {name} cannot be used: {error}") from None
    if name == "replace":
        highest = max((part for part in compile_replacement(arguments[2]["value"]) if isinstance(part, int)), default=0)
        groups = compile_pattern(arguments[1]["value"]).groups
        if highest > groups:
            raise InvalidExpression(f"{where}: the replacement names group {highest}; the pattern has {groups}")


_EXAMPLES = {
    "match": "match(subject, 'RECOVERY|OK')",
    "extract": "extract(subject, 'host=(\\S+)')",
    "replace": "replace(subject, '^Re: ', '')",
    "header": "header('x-event')",
}


def _misread(text: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, IncompleteExpressionError):
        return f"at character {len(text) + 1}: it ends too early; is a bracket, a quote or a name missing?"
    if isinstance(error, LexerError):
        return f"at character {error.lexer_position + 1}: {str(error.message)[:120]}; {_advice(text)}"
    if isinstance(error, NotJmespath):
        return (
            f"at character {error.lex_position + 1}: {str(error.token_value)[:60]!r} cannot stand here; {_advice(text)}"
        )
    return f"it is no JMESPath expression: {str(error)[:160]}"


def _advice(text: str) -> str:
    if text.lstrip().startswith("$"):
        return "a path begins with a name, without the $ of JSONPath: data.host"
    if text.count("'") % 2 or '"' in text:
        return "texts stand in single quotes, unusual names in double quotes: \"my-name\" == 'text'"
    if "-" in text or ":" in text or "/" in text:
        return 'a name with other characters than letters, digits and _ stands in double quotes: "my-name".value'
    if " " in text.strip() and "||" not in text:
        return "for a text with values in it write a template: {{ host }} is {{ state }}"
    return "see https://jmespath.org/specification.html"


def _measure(result: list[Any] | str) -> None:
    if isinstance(result, list) and len(result) > LIST_MAX:
        raise ParseError("mapping.failed", f"an expression made a list of more than {LIST_MAX} entries")
    if isinstance(result, str) and len(result) > STRING_MAX:
        raise ParseError("mapping.failed", f"an expression made a text of more than {STRING_MAX} characters")


def _is_true(value: object) -> bool:
    """What counts as true in JMESPath: not null, false, or an empty text, list or object; but the number 0."""
    return bool(value) or not (value is None or value is False or isinstance(value, str | list | dict))


class Evaluator(TreeInterpreter):
    """Evaluates expressions against documents of one delivery, on one budget.

    Args:
        headers: The request's, lower case.
        document: The whole payload.
    """

    def __init__(self, headers: Mapping[str, str] | None = None, document: object = None) -> None:
        self.scope = Scope(headers or {}, document)
        super().__init__(Options(custom_functions=MappingFunctions(self.scope)))

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """This will evaluate one node, counted and its result measured."""
        self.scope.charge(1)
        # The library's own dispatch keeps the methods that it finds in the object: a circle for the garbage collector.
        result = getattr(self, f"visit_{node['type']}")(node, *args, **kwargs)
        if isinstance(result, _SIZED):
            _measure(result)
        return result

    def _along(self, path: Path, document: object) -> Any:
        """What the interpreter would find for this path, with its budget and its limits."""
        self.scope.charge(2 * len(path))
        found = document
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
            if isinstance(found, _SIZED) and len(found) > LIST_MAX:
                _measure(found)
        return found

    def find(self, text: str, document: object) -> Any:
        """This will return what ``text`` selects of ``document``; what does not fit its types selects nothing.

        Raises:
            ParseError: The budget is used up.
        """
        try:
            found: Any = None
            for wanted in alternatives(text):
                found = self._along(wanted, document) if isinstance(wanted, tuple) else self.visit(wanted, document)
                if _is_true(found):
                    break
            return found
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError):
            # A stranger's document of another shape than the mapping's author had in mind: no value.
            return None
