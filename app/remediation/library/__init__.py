"""The runbooks that ship with Tocsin: packs of YAML, loaded and checked once per process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from app.remediation.actions import catalogue
from app.remediation.rules.document import Document
from app.remediation.rules.loader import LoadedRunbook, load_runbook

PACKS = ("core",)


@dataclass(frozen=True)
class ShippedRunbook:
    """A runbook of a pack, with its text."""

    pack: str
    source: str
    loaded: LoadedRunbook


@cache
def shipped() -> Mapping[str, ShippedRunbook]:
    """This will return every shipped runbook by name.

    Raises:
        RunbookRefused: A shipped runbook does not pass its own checks.
    """
    found: dict[str, ShippedRunbook] = {}
    documents: dict[str, Document] = {}
    for pack in PACKS:
        for file in sorted(resources.files(__name__).joinpath(pack).iterdir(), key=lambda entry: entry.name):
            if not file.name.endswith(".yaml"):
                continue
            text = file.read_text(encoding="utf-8")
            loaded = load_runbook(text, catalogue=catalogue(), library=documents)
            documents[loaded.name] = loaded.document
            found[loaded.name] = ShippedRunbook(pack, text, loaded)
    return MappingProxyType(found)
