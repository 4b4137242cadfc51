"""Times that callers write; apart from the clock, so that workers read them without the web framework."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range in UTC") from None


# A time that a caller writes: with its offset, for a time without one would mean another moment to each reader.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
