"""Python's garbage collector in a process that serves for weeks: fewer passes, over less.

Reference counting frees nearly everything here; the collector looks for cycles only. With its defaults it starts after every
700 new objects and, now and then, walks every module and route that was loaded at start: time in which no request is served.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 20
"""Objects made before the youngest generation is looked at, and generations passed over before the next older one is."""


def space_out_collections() -> None:
    """This will let the collector start less often."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def settle_heap() -> None:
    """This will take what is alive now out of the collector's sight; call it once, when a process has started."""
    gc.collect()
    gc.freeze()
