"""Between times and the ids that begin with them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

_FIRST_MS, _LAST_MS = 0, 2**48 - 1


def id_at(moment: datetime) -> UUID:
    """This will return the lowest id of the millisecond: what came in earlier has a lower one (RFC 9562, version 7)."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=min(max(milliseconds, _FIRST_MS), _LAST_MS) << 80)
