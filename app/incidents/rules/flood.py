"""When a source says so many different things at once that an incident each would help nobody."""

from __future__ import annotations

from dataclasses import replace

from app.incidents.rules.signals import Signal

FLOOD_GROUP = "flood:"
"""The group of everything that came after a source had as many open incidents as it may; no other key looks like it."""

MOST_OPEN = 500
"""Open incidents of one source beyond which new alerts share the flood incident. People work on none of them by then."""


def flooding(signal: Signal, source_name: str) -> Signal:
    """This will return the signal as a member of its source's flood."""
    title = f"Flood of alerts from {source_name}"
    return replace(signal, group_key=FLOOD_GROUP, group_labels={}, title=title, name="AlertFlood")
