"""Keys, groups, times and severities: what odd input turns into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.incidents.rules.signals import (
    MAX_DEDUP_KEY,
    clean,
    clean_mapping,
    clean_value,
    common_labels,
    group_of,
    incident_title,
    normalise_dedup_key,
    settle_severity,
    settle_status,
    settle_time,
)
from app.incidents.rules.states import AlertStatus, Severity

RECEIVED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def key_of(raw: str, *, title: str = "t", labels: dict[str, str] | None = None) -> str:
    return normalise_dedup_key(raw, title=title, labels=labels or {})


def test_a_short_key_is_kept_as_the_sender_gave_it() -> None:
    assert key_of(" host-1/disk ") == "host-1/disk"
    assert key_of("k" * MAX_DEDUP_KEY) == "k" * MAX_DEDUP_KEY


def test_a_long_key_is_hashed_and_cannot_be_aimed_at() -> None:
    long_key = "k" * (MAX_DEDUP_KEY + 1)
    hashed = key_of(long_key)
    assert len(hashed) <= MAX_DEDUP_KEY
    assert hashed == key_of(long_key)
    assert key_of(hashed) != hashed


def test_without_a_key_title_and_labels_identify_the_alert_in_any_label_order() -> None:
    one = key_of("", title="x", labels={"a": "1", "b": "2"})
    assert one == key_of("  ", title="x", labels={"b": "2", "a": "1"})
    assert one != key_of("", title="x", labels={"a": "1", "b": "3"})


@given(st.text(max_size=600), st.text(max_size=600))
def test_keys_are_storable_bounded_and_differ_where_the_raw_ones_do(left: str, right: str) -> None:
    for raw in (left, right):
        assert 0 < len(key_of(raw)) <= MAX_DEDUP_KEY
        assert "\x00" not in key_of(raw)
        key_of(raw).encode()
    if left.strip() != right.strip():
        assert key_of(left) != key_of(right)


@pytest.mark.parametrize(
    ("labels", "sender_group", "group_by", "expected_labels"),
    [
        ({"alertname": "A", "host": "1"}, {}, (), {}),
        ({"alertname": "A", "host": "1"}, {"alertname": "A"}, (), {"alertname": "A"}),
        ({"alertname": "A", "host": "1"}, {"alertname": "A"}, ("host",), {"host": "1"}),
        ({"alertname": "A"}, {}, ("alertname", "cluster"), {"alertname": "A", "cluster": ""}),
        ({"alertname": "A"}, {"alertname": "A"}, ("cluster",), {}),
    ],
)
def test_declared_labels_group_before_the_senders_group_before_the_alert_itself(
    labels: dict[str, str], sender_group: dict[str, str], group_by: tuple[str, ...], expected_labels: dict[str, str]
) -> None:
    key, found = group_of(key="k", labels=labels, sender_group=sender_group, group_by=group_by)
    assert found == expected_labels
    assert key.startswith("labels:" if expected_labels else "alert:k")


def test_a_group_key_does_not_depend_on_the_order_of_labels_and_cannot_be_imitated_by_a_dedup_key() -> None:
    one, _ = group_of(key="k", labels={}, sender_group={"a": "1", "b": "2"}, group_by=())
    two, _ = group_of(key="other", labels={}, sender_group={"b": "2", "a": "1"}, group_by=())
    imitation, _ = group_of(key=one, labels={}, sender_group={}, group_by=())
    assert one == two
    assert imitation != one


@pytest.mark.parametrize(
    ("claimed", "expected", "warns"),
    [
        (None, RECEIVED, False),
        (RECEIVED - timedelta(days=3), RECEIVED - timedelta(days=3), False),
        (datetime(2026, 3, 2, 8, 0), datetime(2026, 3, 2, 8, 0, tzinfo=UTC), False),  # noqa: DTZ001 - the odd input
        (datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=2))), RECEIVED - timedelta(hours=1), False),
        (RECEIVED + timedelta(minutes=4), RECEIVED + timedelta(minutes=4), False),
        (RECEIVED + timedelta(minutes=6), RECEIVED, True),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))), RECEIVED, True),
        (datetime(1, 1, 1, tzinfo=UTC), RECEIVED, True),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), RECEIVED, True),
        (datetime(1970, 1, 1, tzinfo=UTC), RECEIVED, True),
    ],
)
def test_b22_times_that_cannot_be_used_stand_for_the_time_of_delivery(
    claimed: datetime | None, expected: datetime, warns: bool
) -> None:
    at, warning = settle_time(claimed, RECEIVED)
    assert at == expected
    assert (warning is not None) is warns


@pytest.mark.parametrize(
    ("given_severity", "raw", "expected", "warns"),
    [
        (Severity.P0, "whatever", Severity.P0, False),
        (None, "Critical", Severity.P1, False),
        (None, " p3 ", Severity.P3, False),
        (None, "", Severity.P2, False),
        (None, "purple", Severity.P2, True),
        (None, "\x00" * 5000, Severity.P2, True),
    ],
)
def test_b23_the_map_decides_and_an_unknown_word_takes_the_default_with_a_warning(
    given_severity: Severity | None, raw: str, expected: Severity, warns: bool
) -> None:
    severity, warning = settle_severity(
        given=given_severity, raw=raw, severity_map={"critical": Severity.P1}, default=Severity.P2
    )
    assert severity is expected
    assert (warning is not None) is warns
    assert warning is None or len(warning) < 200


def test_text_is_cut_with_an_ellipsis_and_loses_what_cannot_be_stored() -> None:
    assert clean("abc", 3) == "abc"
    assert clean("abcd", 3) == "ab…"
    assert clean("a\x00b\ud800c", 10) == "abc"
    assert clean_value({"a\x00": ["b\x00", {"c": ("d\udfff", 1, None)}]}) == {"a": ["b", {"c": ["d", 1, None]}]}


def test_labels_are_bounded_and_sorted() -> None:
    many = {f"name{number:04}": "v" * 2_000 for number in range(500)}
    cleaned = clean_mapping(many, value_limit=10)
    assert len(cleaned) == 128
    assert list(cleaned) == sorted(cleaned)
    assert set(cleaned.values()) == {"v" * 9 + "…"}


def test_titles_and_common_labels() -> None:
    assert incident_title("Disk full", 1) == "Disk full"
    assert incident_title("Disk full", 3) == "Disk full (+2 more)"
    assert len(incident_title("x" * 500, 1_000)) == 500
    assert common_labels({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"a": "1"}


@pytest.mark.parametrize(
    ("valid_for_s", "expected"),
    [
        (240, (AlertStatus.FIRING, None)),
        # Five seconds of a clock that runs ahead are forgiven, and dated no later than the arrival.
        (5, (AlertStatus.RESOLVED, RECEIVED)),
        (6, (AlertStatus.FIRING, None)),
        (0, (AlertStatus.RESOLVED, RECEIVED)),
        (-600, (AlertStatus.RESOLVED, RECEIVED - timedelta(minutes=10))),
    ],
)
def test_a_firing_whose_word_had_lapsed_on_arrival_is_over(
    valid_for_s: int, expected: tuple[AlertStatus, datetime | None]
) -> None:
    until = RECEIVED + timedelta(seconds=valid_for_s)
    assert settle_status(AlertStatus.FIRING, valid_until=until, received_at=RECEIVED) == expected


@pytest.mark.parametrize("status", list(AlertStatus))
def test_without_a_time_until_which_it_holds_a_word_stands(status: AlertStatus) -> None:
    assert settle_status(status, valid_until=None, received_at=RECEIVED) == (status, None)


@pytest.mark.parametrize("status", [status for status in AlertStatus if status is not AlertStatus.FIRING])
def test_only_a_firing_lapses(status: AlertStatus) -> None:
    past = RECEIVED - timedelta(hours=1)
    assert settle_status(status, valid_until=past, received_at=RECEIVED) == (status, None)
