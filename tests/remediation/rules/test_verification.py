"""Recovered means proven: no samples, unknown samples and flapping prove nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.remediation.rules.verification import Verdict, judge_samples, sample_of

SAMPLES = st.lists(st.sampled_from([True, False, None]), max_size=12)


@pytest.mark.parametrize(
    ("clauses", "sample"),
    [
        ([], None),
        ([True], True),
        ([True, True], True),
        ([True, None], None),
        ([None, False], False),
        ([True, False], False),
    ],
)
def test_a_sample_is_as_good_as_its_worst_clause(clauses: list[bool | None], sample: bool | None) -> None:
    assert sample_of(clauses) is sample


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([], Verdict.UNKNOWN),
        ([None, None, None], Verdict.UNKNOWN),
        ([True, True], Verdict.UNKNOWN),
        ([True, True, True], Verdict.RECOVERED),
        ([False, True, True, True], Verdict.RECOVERED),
        ([True, True, True, None], Verdict.UNKNOWN),
        ([True, True, True, False], Verdict.NOT_RECOVERED),
        ([True, False, True, False, True], Verdict.NOT_RECOVERED),
    ],
)
def test_the_verdict_when_time_is_up(samples: list[bool | None], verdict: Verdict) -> None:
    assert judge_samples(samples, need=3, is_over=True) is verdict


@given(SAMPLES, st.integers(1, 5), st.booleans())
def test_recovered_takes_as_many_good_samples_in_a_row_as_are_needed(
    samples: list[bool | None], need: int, is_over: bool
) -> None:
    verdict = judge_samples(samples, need=need, is_over=is_over)
    proven = len(samples) >= need and all(sample is True for sample in samples[-need:])
    assert (verdict is Verdict.RECOVERED) == proven
    assert (verdict is None) == (not proven and not is_over)
