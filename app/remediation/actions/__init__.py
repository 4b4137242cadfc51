"""The actions there are. A folder here that exports ``ACTION`` is one; nothing else has to be edited."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from app.remediation.contract import Action
from app.remediation.rules.spec import ActionSpec


@cache
def actions() -> Mapping[str, Action]:
    """This will return every action by its slug."""
    found: dict[str, Action] = {}
    for module in pkgutil.iter_modules(__path__):
        action: Action = importlib.import_module(f"{__name__}.{module.name}").ACTION
        if action.spec.slug in found:
            raise ValueError(f"two actions are called {action.spec.slug!r}")
        found[action.spec.slug] = action
    return MappingProxyType(found)


@cache
def catalogue() -> Mapping[str, ActionSpec]:
    """This will return what each action promises, which is what runbooks are checked against."""
    return MappingProxyType({slug: action.spec for slug, action in actions().items()})
