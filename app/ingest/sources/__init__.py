"""The alert sources, one folder each; a folder with a ``SOURCE`` is a source, nothing else has to be told."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from app.core.errors import Invalid
from app.ingest.contract import AlertSource


class UnknownSourceKind(Invalid):
    """No folder under ``sources/`` has this name."""

    code = "source.unknown_kind"
    title = "There is no such kind of source"


@cache
def all_sources() -> Mapping[str, AlertSource]:
    """This will return every source by slug."""
    found: dict[str, AlertSource] = {}
    for module in pkgutil.iter_modules(__path__):
        source: AlertSource = importlib.import_module(f"{__name__}.{module.name}").SOURCE
        if source.slug != module.name:
            raise ValueError(f"the folder {module.name!r} exports the source {source.slug!r}; the names must agree")
        found[source.slug] = source
    return MappingProxyType(found)


def get_source(slug: str) -> AlertSource:
    """This will return the source ``slug``.

    Raises:
        UnknownSourceKind: There is none.
    """
    try:
        return all_sources()[slug]
    except KeyError:
        raise UnknownSourceKind(f"there is no kind of source {slug!r}; known are {', '.join(all_sources())}") from None
