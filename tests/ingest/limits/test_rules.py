"""Buckets, limits and turns: arithmetic without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.rules.limits import Bucket, Limits, share_of
from app.ingest.rules.turns import Turns


def test_a_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(10, burst_s=2, now=0)
    assert taken(bucket, tries=50, now=0) == 20
    assert taken(bucket, tries=50, now=1) == 10
    assert taken(bucket, tries=50, now=100) == 20, "a quiet time earns a burst and no more"


def test_a_large_body_is_let_in_whole_and_paid_after() -> None:
    bucket = Bucket(100, burst_s=1, now=0)
    assert bucket.has_room(0)
    bucket.take(1000)
    assert not bucket.has_room(8)
    assert bucket.has_room(9.5)


def test_without_a_rate_everything_passes() -> None:
    bucket = Bucket(None, burst_s=1, now=0)
    assert taken(bucket, tries=1000, now=0) == 1000
    assert bucket.has_room(0)


@pytest.mark.parametrize(("to", "left"), [(20.0, 10), (5.0, 3), (None, 1000)], ids=["raised", "lowered", "lifted"])
def test_a_rate_that_changes_forgives_nothing(to: float | None, left: int) -> None:
    bucket = Bucket(10, burst_s=1, now=0)
    taken(bucket, tries=5, now=0)
    bucket.resize(to, burst_s=1, now=0)
    assert taken(bucket, tries=1000, now=0) == left


def test_a_limit_on_what_had_none_begins_full_handed_neither_nor() -> None:
    bucket = Bucket(None, burst_s=1, now=0)
    bucket.resize(10, burst_s=1, now=5)
    assert taken(bucket, tries=100, now=5) == 10


@given(
    rate=st.floats(0.5, 1000),
    burst_s=st.floats(0.1, 30),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 300)), max_size=30),
)
def test_no_more_passes_than_the_burst_and_the_rate(
    rate: float, burst_s: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now, passed = Bucket(rate, burst_s=burst_s, now=0), 0.0, 0
    for pause, tries in steps:
        now += pause
        passed += taken(bucket, tries=tries, now=now)
        assert passed <= max(1.0, rate * burst_s) + rate * now + 1


def taken(bucket: Bucket, *, tries: int, now: float) -> int:
    passed = 0
    for _ in range(tries):
        if not bucket.has_room(now):
            break
        bucket.take(1)
        passed += 1
    return passed


def test_rates_are_divided_among_processes_and_counts_are_not() -> None:
    whole = Limits(deliveries_per_s=100, bytes_per_s=1000, alerts_per_min=60, backlog=50)
    assert share_of(whole, 4) == Limits(deliveries_per_s=25, bytes_per_s=250, alerts_per_min=60, backlog=50)
    assert share_of(whole, 0) == whole


def test_what_is_not_set_falls_back_and_nought_is_no_limit() -> None:
    found = Limits.of({"deliveries_per_s": 5}, otherwise=Limits(deliveries_per_s=9, backlog=7))
    assert found == Limits(deliveries_per_s=5, backlog=7)
    assert Limits.of({"backlog": 0}, otherwise=Limits(backlog=7)).backlog is None


@pytest.mark.parametrize(
    ("mine", "theirs", "looser"),
    [
        (Limits(deliveries_per_s=5), Limits(deliveries_per_s=5), None),
        (Limits(deliveries_per_s=6), Limits(deliveries_per_s=5), "deliveries_per_s"),
        (Limits(backlog=1), Limits(), None),
        (Limits(), Limits(backlog=1), None),
    ],
)
def test_looser_is_named(mine: Limits, theirs: Limits, looser: str | None) -> None:
    assert mine.is_within(theirs) == looser


def test_a_newcomer_goes_first_once() -> None:
    turns: Turns[str] = Turns(quantum=10, settle_s=1)
    for name in ("a", "b"):
        turns.join(name, 0)
    assert names(turns, 2, cost=10) == ["a", "b"]
    turns.join("quiet", 0.5)
    assert names(turns, 3, cost=10) == ["quiet", "a", "b"]


def test_who_comes_again_at_once_is_no_newcomer() -> None:
    turns: Turns[str] = Turns(quantum=10, settle_s=1)
    turns.join("loud", 0)
    assert turns.take() == ("loud", 10)
    turns.served("loud", credit=0, waits=True, now=0)
    turns.join("sly", 0)
    assert turns.take() == ("sly", 10)
    turns.served("sly", credit=9, waits=False, now=0.1)
    turns.join("sly", 0.2)
    assert [turns.take(), turns.take()] == [("loud", 10), ("sly", 10)]
    assert turns.take() is None


def test_who_is_quiet_long_enough_is_new_again() -> None:
    turns: Turns[str] = Turns(quantum=10, settle_s=1)
    turns.join("b", 0)
    turns.take()
    turns.served("b", credit=0, waits=False, now=0)
    turns.join("a", 0)
    turns.take()
    turns.served("a", credit=0, waits=True, now=0)
    turns.join("b", 2)
    assert turns.newcomers == 1
    assert turns.take(only_newcomers=True) == ("b", 10)
    assert turns.take(only_newcomers=True) is None


@given(
    costs=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=2),
    rounds=st.integers(50, 200),
)
def test_whoever_always_waits_gets_as_much_as_the_others(costs: dict[str, int], rounds: int) -> None:
    turns: Turns[str] = Turns(quantum=32, settle_s=1)
    for name in costs:
        turns.join(name, 0)
    spent = dict.fromkeys(costs, 0.0)
    for _ in range(rounds * len(costs)):
        found = turns.take()
        assert found is not None, "somebody always waits"
        name, credit = found
        while credit > 0:  # as a batch is filled: what is begun is finished
            credit -= costs[name]
            spent[name] += costs[name]
        turns.served(name, credit=credit, waits=True, now=0)
    assert max(spent.values()) - min(spent.values()) <= 2 * (32 + max(costs.values()))


def names(turns: Turns[str], count: int, *, cost: float) -> list[str]:
    served = []
    for _ in range(count):
        found = turns.take()
        assert found is not None
        served.append(found[0])
        turns.served(found[0], credit=found[1] - cost, waits=True, now=0)
    return served
