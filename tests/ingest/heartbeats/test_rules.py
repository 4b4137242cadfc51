"""What a heartbeat's state and deadline mean, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.heartbeats.rules import Verdict, judge, spoken
from app.ingest.heartbeats.schemas import HeartbeatState

DEADLINE = datetime(2030, 1, 7, 12, tzinfo=UTC)
OUTAGE_S, PERIOD_S = 30.0, 60


def at(late_by_s: float, state: HeartbeatState = HeartbeatState.UP, *, alerted: bool = False) -> Verdict:
    now = DEADLINE + timedelta(seconds=late_by_s)
    return judge(state, DEADLINE, alerted=alerted, active=True, now=now, outage_s=OUTAGE_S, period_s=PERIOD_S)


def test_before_the_deadline_nothing_is_missed_and_an_alert_is_over() -> None:
    verdict = at(-0.001)
    assert (verdict.missed, verdict.look_again_at) == (False, DEADLINE)
    assert verdict.ends


@pytest.mark.parametrize("late_by_s", [0.0, 4.9, 30.0])
def test_from_the_deadline_on_it_is_missed(late_by_s: float) -> None:
    assert at(late_by_s) == Verdict(missed=True, late_by_s=late_by_s)


def test_noticed_so_late_that_we_were_deaf_it_gets_another_turn() -> None:
    now = DEADLINE + timedelta(seconds=OUTAGE_S + 1)
    assert at(OUTAGE_S + 1) == Verdict(another_turn=True, look_again_at=now + timedelta(seconds=PERIOD_S))


@given(
    state=st.sampled_from(HeartbeatState),
    late_by_s=st.floats(-1e6, 1e6),
    known=st.booleans(),
    alerted=st.booleans(),
    active=st.booleans(),
)
def test_an_alert_is_never_opened_and_ended_at_once(
    state: HeartbeatState, late_by_s: float, known: bool, alerted: bool, active: bool
) -> None:
    verdict = judge(
        state,
        DEADLINE if known else None,
        alerted=alerted,
        active=active,
        now=DEADLINE + timedelta(seconds=late_by_s),
        outage_s=OUTAGE_S,
        period_s=PERIOD_S,
    )
    assert sum([verdict.missed, verdict.failed, verdict.ends is not None, verdict.another_turn]) <= 1
    if verdict.missed or verdict.failed:
        assert active
        assert state in (HeartbeatState.UP, HeartbeatState.FAILED)
    if active and (state is HeartbeatState.NEW or (state is HeartbeatState.LATE and known)):
        assert verdict == Verdict(), "only a beat brings these on"


@pytest.mark.parametrize("state", [HeartbeatState.UP, HeartbeatState.LATE])
def test_what_was_watched_before_its_source_rested_gets_another_turn(state: HeartbeatState) -> None:
    verdict = judge(state, None, alerted=False, active=True, now=DEADLINE, outage_s=OUTAGE_S, period_s=PERIOD_S)
    assert verdict == Verdict(another_turn=True, look_again_at=DEADLINE + timedelta(seconds=PERIOD_S))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (90, "90 seconds"), (300, "5 minutes"), (3600, "1 hour"), (172_800, "2 days")],
)
def test_a_duration_reads_as_people_say_it(seconds: int, said: str) -> None:
    assert spoken(seconds) == said
