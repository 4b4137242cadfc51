"""The plug-ins that are there: found by looking into their folders, so that adding one changes nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import app.enhancement.context as context_folder
import app.enhancement.desks as desks_folder
from app.core.errors import Invalid
from app.enhancement.contract import ContextSource, DeskKind


class UnknownDeskKind(Invalid):
    """No plug-in of that name."""

    code = "enhancement.unknown_desk_kind"
    title = "There is no such kind of desk"


@cache
def context_sources() -> tuple[ContextSource, ...]:
    """This will return every context source, by slug."""
    return tuple(
        source
        for module in _modules(context_folder)
        if isinstance(source := getattr(module, "CONTEXT", None), ContextSource)
    )


@cache
def desk_kinds() -> dict[str, DeskKind]:
    """This will return every kind of desk by slug."""
    kinds = (getattr(module, "DESK", None) for module in _modules(desks_folder))
    return {kind.slug: kind for kind in kinds if isinstance(kind, DeskKind)}


def get_desk_kind(slug: str) -> DeskKind:
    """This will return the kind of desk.

    Raises:
        UnknownDeskKind: No plug-in has that slug.
    """
    kind = desk_kinds().get(slug)
    if kind is None:
        raise UnknownDeskKind(f"Known kinds: {', '.join(sorted(desk_kinds()))}.")
    return kind


def _modules(folder: ModuleType) -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(folder.__path__) if info.ispkg)
    return [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
