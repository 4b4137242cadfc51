"""The times that senders write: Ruby's, Java's and SQL's ways beside ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.rules import values


@pytest.mark.parametrize(
    ("written", "hour", "microsecond"),
    [
        ("2026-03-02 10:15:00 UTC", 10, 0),
        ("2026-03-02 10:15:00 +0100", 9, 0),
        ("2026-03-02 10:15:00.250 +02:00", 8, 250_000),
        ("2026-03-02T10:15:00.250+0000", 10, 250_000),
        ("2026-03-02 10:15:00", 10, 0),
    ],
)
def test_times_as_ruby_java_and_sql_write_them_are_read(written: str, hour: int, microsecond: int) -> None:
    assert values.parse_time(written) == datetime(2026, 3, 2, hour, 15, 0, microsecond, UTC)


@pytest.mark.parametrize("written", ["1772446500", "1772446500.0", "1772446500000", "1772446500000.5"])
def test_seconds_and_milliseconds_may_be_text_with_a_fraction(written: str) -> None:
    found = values.parse_time(written)
    assert found is not None
    assert found.replace(microsecond=0) == datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize("written", ["1.5", "20260302.5", "1772446500.x", "1772446500.1.2", "."])
def test_a_number_of_another_size_is_no_time(written: str) -> None:
    assert values.parse_time(written) is None


@pytest.mark.parametrize("written", ["10:15:00 UTC", "2026-03-02 10:15:00 CET", "yesterday", "2026-03-02 +0100"])
def test_what_is_no_time_is_none(written: str) -> None:
    assert values.parse_time(written) is None


@given(st.integers(700_000_000, 6_900_000_000), st.integers(-14 * 60, 14 * 60))
def test_an_offset_after_a_space_is_the_same_offset(seconds: int, minutes: int) -> None:
    moment = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=minutes)))
    assert values.parse_time(moment.strftime("%Y-%m-%d %H:%M:%S %z")) == moment
