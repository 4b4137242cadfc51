"""Judging recovery: three verdicts, and only proof counts as recovered."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Verdict(StrEnum):
    """The end of watching."""

    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    UNKNOWN = "unknown"


def sample_of(clauses: Sequence[bool | None]) -> bool | None:
    """This will join what the clauses say: one bad is bad, else one unknown is unknown."""
    if False in clauses:
        return False
    return None if None in clauses or not clauses else True


def judge_samples(samples: Sequence[bool | None], *, need: int, is_over: bool) -> Verdict | None:
    """This will return the verdict, or None while there is reason and time to go on.

    Recovered takes ``need`` good samples in a row, with no unknown among them. When time is up, a bad sample among the
    last ``need`` means not recovered; too few samples, or unknown ones, prove nothing.
    """
    recent = list(samples[-need:])
    if len(recent) == need and all(sample is True for sample in recent):
        return Verdict.RECOVERED
    if not is_over:
        return None
    return Verdict.NOT_RECOVERED if False in recent else Verdict.UNKNOWN
