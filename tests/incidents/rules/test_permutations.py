"""Invariant I3: what is known in the end does not depend on the order in which it came."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.incidents.rules.signals import Signal
from app.incidents.rules.states import ALERT_STATES, AlertStatus, Severity
from tests.incidents.rules.world_maker import Desk, signal


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Signal], list[Signal], list[int]]:
    """The same signals in two orders of arrival, with the sizes of the batches that bring the second."""
    count = draw(st.integers(1, 12))
    signals = [
        signal(
            draw(st.integers(0, 90)),
            seq=seq,
            key=draw(st.sampled_from("abc")),
            group="g" if draw(st.booleans()) else None,
            status=draw(st.sampled_from(AlertStatus)),
            severity=draw(st.sampled_from(Severity)),
        )
        for seq in range(count)
    ]
    # A key keeps to one group, as labels decide it.
    grouped = {one.key: one.group_key for one in signals}
    labels = {one.key: one.group_labels for one in signals}
    signals = [_regroup(one, grouped[one.key], labels[one.key]) for one in signals]
    return signals, draw(st.permutations(signals)), draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))


def _regroup(one: Signal, group_key: str, group_labels: object) -> Signal:
    return signal(
        0,
        key=one.key,
        order=one.order,
        status=one.status,
        severity=one.severity,
        group_key=group_key,
        group_labels=group_labels,
    )


@given(histories())
@settings(max_examples=400)
def test_i3_any_order_of_arrival_ends_in_the_same_alert_states_and_the_same_resolution(
    history: tuple[list[Signal], list[Signal], list[int]],
) -> None:
    signals, shuffled, sizes = history
    sorted_desk, shuffled_desk = Desk(), Desk()
    for one in sorted(signals, key=lambda one: one.order):
        sorted_desk.apply(one)
    rest = list(shuffled)
    for size in sizes:
        batch, rest = rest[:size], rest[size:]
        shuffled_desk.apply(*batch)
    for key in sorted_desk.world.heads:
        # An acknowledgement or a note says nothing about whether the alert fires, wherever it stands.
        states = [one for one in signals if one.key == key and one.status in ALERT_STATES]
        newest = max(states, key=lambda one: one.order, default=None)
        assert sorted_desk.status(key) == shuffled_desk.status(key) == (newest.status if newest else None)
        order = newest.order if newest else None
        assert sorted_desk.world.heads[key].order == shuffled_desk.world.heads[key].order == order
    assert _open_groups(sorted_desk) == _open_groups(shuffled_desk)


def _open_groups(desk: Desk) -> dict[str, tuple[int, Severity]]:
    """What is open: by group, how many alerts fire and how bad it is. Also checks what must always hold."""
    found: dict[str, tuple[int, Severity]] = {}
    for incident in desk.world.incidents.values():
        firing = [
            head.alert
            for head in desk.world.heads.values()
            if head.alert and head.alert.is_firing and head.alert.incident_id == incident.id
        ]
        assert incident.is_open == bool(firing), "an incident is open exactly while one of its alerts fires"
        assert sum(incident.open_alerts.values()) == len(firing)
        if firing:
            assert incident.group_key not in found, "a group has one open incident at most"
            assert incident.severity == min(alert.severity for alert in firing)
            found[incident.group_key] = (len(firing), incident.severity)
    return found
