"""The clock at the edge: endpoints get ``now`` as a value and pass it on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator, AwareDatetime

from app.core.clock import Clock


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.resources.get(Clock).now()
    return now


Now = Annotated[datetime, Depends(_now)]


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range in UTC") from None


# A time that a caller writes: with its offset, for a time without one would mean another moment to each reader.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
