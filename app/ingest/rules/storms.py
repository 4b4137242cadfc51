"""What counts as a flood of a source: the settings' thresholds with the source's own over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from app.incidents.schemas import StormRule
from app.settings.storms import StormSettings

OWN = {"storm_opens": "opens", "storm_window_s": "window_s", "storm_quiet_s": "quiet_s"}
"""From the names among a source's limits to the rule's."""


def default_rule(settings: StormSettings) -> StormRule:
    """This will return the rule of sources that say nothing else."""
    return StormRule(**settings.model_dump())


def own_rule(limits: Mapping[str, Any], *, otherwise: StormRule | None = None) -> StormRule:
    """This will return a source's rule: its own thresholds, else the other's."""
    rule = otherwise or StormRule()
    own = {field: limits[name] for name, field in OWN.items() if limits.get(name) is not None}
    return dataclasses.replace(rule, **own) if own else rule
