"""What a heartbeat's state and deadline mean at a moment. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.ingest.heartbeats.schemas import HeartbeatState

_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do about a heartbeat.

    Attributes:
        missed: Its deadline has passed: open an alert.
        failed: Its sender said that it failed: open an alert.
        ends: Why an open alert is over; None leaves it.
        another_turn: We ourselves did not listen, or may not have: it is watched anew, until ``look_again_at``.
        look_again_at: When to judge next; None until a beat comes.
        late_by_s: Seconds from the deadline to this verdict, of a missed one.
    """

    missed: bool = False
    failed: bool = False
    ends: str | None = None
    another_turn: bool = False
    look_again_at: datetime | None = None
    late_by_s: float = 0.0


def judge(
    state: HeartbeatState,
    deadline_at: datetime | None,
    *,
    alerted: bool,
    active: bool,
    now: datetime,
    outage_s: float,
    period_s: int,
) -> Verdict:
    """This will decide about one heartbeat.

    Args:
        state: As the last beat or verdict left it.
        deadline_at: By when the next beat must have come; of what was watched before, None once its source took nothing.
        alerted: Whether its alert is open.
        active: Whether its source takes anything; where it does not, silence says nothing.
        now: Of the same clock as the deadline.
        outage_s: Looked at later than this after the deadline, nobody was there to take a beat either: everything that
            was expected during an outage of ours would raise an alarm at once.
        period_s: Interval and grace, the length of another turn.
    """
    if not active or state is HeartbeatState.PAUSED:
        return Verdict(ends="it is paused" if active else "its source takes nothing any more")
    if state is HeartbeatState.FAILED:
        return Verdict(failed=not alerted)
    if state is HeartbeatState.NEW or (state is HeartbeatState.LATE and deadline_at is not None):
        return Verdict()
    late_by_s = (now - deadline_at).total_seconds() if deadline_at is not None else math.inf
    if late_by_s < 0:
        return Verdict(ends="it was heard of again", look_again_at=deadline_at)
    if late_by_s > outage_s:
        return Verdict(another_turn=True, look_again_at=now + timedelta(seconds=period_s))
    return Verdict(missed=True, late_by_s=late_by_s)


def spoken(seconds: int) -> str:
    """This will say a duration in its largest whole unit: ``5 minutes``, ``90 seconds``."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
