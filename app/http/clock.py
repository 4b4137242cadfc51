"""The clock at the edge: endpoints get ``now`` as a value and pass it on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from app.core.clock import Clock


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.resources.get(Clock).now()
    return now


Now = Annotated[datetime, Depends(_now)]
