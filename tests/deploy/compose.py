"""The compose file as Docker would see it: variables filled in from an ``.env`` file that the script made."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import Any

import yaml

from app.db.migrate import ROOT

COMPOSE = ROOT / "deploy" / "compose"
PUBLIC_URL = "https://tocsin.example"
# ${NAME}, ${NAME:-default} and ${NAME:?message}; $$ is a dollar sign.
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class Unset(KeyError):
    """A variable that must be set is not."""


@functools.cache
def printed_env() -> dict[str, str]:
    """This will return the variables that ``make-env.sh`` prints."""
    done = subprocess.run(
        [str(COMPOSE / "make-env.sh"), PUBLIC_URL], capture_output=True, text=True, timeout=30, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def interpolated(text: str, variables: dict[str, str]) -> str:
    """This will return a value with its variables filled in.

    Raises:
        Unset: One is missing that the file insists on.
    """

    def fill(match: re.Match[str]) -> str:
        escaped, name, operator, argument = match.groups()
        if escaped:
            return "$"
        value = variables.get(name, "")
        if value:
            return value
        if operator == ":-":
            return argument or ""
        raise Unset(name)

    return VARIABLE.sub(fill, text)


def _filled(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, variables) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    return interpolated(value, variables) if isinstance(value, str) else value


def load(variables: dict[str, str] | None = None) -> dict[str, Any]:
    """This will return the file as data, anchors and merges resolved, extension fields left out."""
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    kept = {name: value for name, value in document.items() if not name.startswith("x-")}
    # After parsing, as Docker does it: an empty variable is an empty text, never a null.
    filled: dict[str, Any] = _filled(kept, printed_env() if variables is None else variables)
    return filled
